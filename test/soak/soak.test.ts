import { expect, test } from 'vitest'
import { useWorld } from '../e2e/world.ts'
import { violations } from './judge.ts'
import { soak } from './soak.ts'

const KILLS = 12
const WITHIN_MS = 180_000

const world = useWorld()

test(
  'A1 A3 A4 D1: killed again and again under two-way traffic, every second time with an empty disk, nothing is lost, doubled or asked for again',
  { timeout: WITHIN_MS },
  async () => {
    const seed = Math.floor(Math.random() * 1_000_000)
    console.log(`seed ${seed}`)
    const figures = await soak({
      kills: KILLS,
      seed,
      sessions: 1,
      whatsapp: world.whatsapp,
      installation: await world.install(),
      newNumber: () => world.newNumber(),
    })
    expect(violations(figures), `seed ${seed}`).toEqual([])
    expect(figures.textsIn).toBeGreaterThan(KILLS * 5)
    expect(figures.textsOut).toBeGreaterThan(KILLS * 5)
  },
)
