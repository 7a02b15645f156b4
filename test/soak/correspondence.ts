import type { Random } from '#shared/random.ts'
import { systemClock } from '#shared/clock.ts'
import type { Api, SentMessage } from '../e2e/api.ts'
import { Problem } from '../e2e/api.ts'
import type { Linked } from '../e2e/people.ts'
import type { WhatsAppAdmin } from '../whatsapp/client.ts'

/** A text that the application asked the session to send. */
export interface Outgoing {
  /** The same for every try, so that a try whose answer a kill took away is repeated without harm. */
  readonly idempotencyKey: string
  readonly to: string
  readonly text: string
  /** Phones of which every device must read it. */
  readonly readers: readonly string[]
  /** Once the API has accepted it. */
  id?: string
}

/** What one round of a conversation consists of, and over how long it is spread. */
export interface Burst {
  readonly name: string
  readonly spanMs: number
}

const TO_SESSION = 4
const TO_GROUP = 3
const FROM_SESSION = 3
const FROM_SESSION_TO_GROUP = 3

/**
 * A session and the people it writes with: two persons with a phone and a companion each, and a group of all three. It
 * remembers every text that a phone sent and every text that the application asked for.
 */
export class Correspondence {
  readonly linked: Linked
  readonly #whatsapp: WhatsAppAdmin
  readonly #dice: Random
  readonly #people: readonly [string, string]
  readonly #group: string
  /** Texts that phones sent, by message id. */
  readonly incoming = new Map<string, string>()
  readonly outgoing: Outgoing[] = []

  private constructor(
    whatsapp: WhatsAppAdmin,
    linked: Linked,
    people: readonly [string, string],
    group: string,
    dice: Random,
  ) {
    this.#whatsapp = whatsapp
    this.linked = linked
    this.#people = people
    this.#group = group
    this.#dice = dice
  }

  static async begin(
    whatsapp: WhatsAppAdmin,
    linked: Linked,
    people: readonly [string, string],
    dice: Random,
  ): Promise<Correspondence> {
    for (const person of people) {
      await whatsapp.phone(person)
      await whatsapp.companion(person)
    }
    const { id } = await whatsapp.group('soak', [people[0], linked.phone, people[1]])
    return new Correspondence(whatsapp, linked, people, id, dice)
  }

  /** Everybody writes to everybody. Resolves when all of it was tried once; what the API did not answer is kept for later. */
  async burst(api: Api, { name, spanMs }: Burst): Promise<void> {
    const [one, two] = this.#people
    const acts: (() => Promise<void>)[] = []
    const times = (count: number, act: (at: number) => () => Promise<void>): void => {
      for (let at = 0; at < count; at++) acts.push(act(at))
    }
    times(TO_SESSION, (at) => () => this.#phoneWrites(at % 2 ? two : one, `${name} to you ${at}`))
    times(TO_GROUP, (at) => () => this.#phoneWritesGroup(at % 2 ? one : two, `${name} to all ${at}`))
    // The person behind the session writes on the phone: its companions must read that too.
    times(1, () => () => this.#ownPhoneWrites(one, `${name} from the phone`))
    times(FROM_SESSION, (at) => {
      const to = at % 2 ? two : one
      return () => this.#ask(api, { to, text: `${name} from the session ${at}`, readers: [to] })
    })
    times(FROM_SESSION_TO_GROUP, (at) => {
      const ask = { to: this.#group, text: `${name} from the session to all ${at}`, readers: [one, two] }
      return () => this.#ask(api, ask)
    })
    const timed = acts.map((act) => ({ act, atMs: this.#dice.next() * spanMs }))
    await Promise.all(timed.map(({ act, atMs }) => systemClock.sleep(atMs).then(act)))
  }

  /** Asks once more for what a kill left without an answer. Answers how many still have none. */
  async repeatUnanswered(api: Api): Promise<number> {
    const unanswered = this.outgoing.filter(({ id }) => id === undefined)
    for (const message of unanswered) await this.#try(api, message)
    return unanswered.filter(({ id }) => id === undefined).length
  }

  async #phoneWrites(from: string, text: string): Promise<void> {
    const device = this.#dice.next() < 0.5 ? 0 : 1
    const { id } = await this.#whatsapp.send(from, { to: this.linked.phone, text, device })
    this.incoming.set(id, text)
  }

  async #phoneWritesGroup(from: string, text: string): Promise<void> {
    const device = this.#dice.next() < 0.5 ? 0 : 1
    const { id } = await this.#whatsapp.sendGroup(from, { group: this.#group, text, device })
    this.incoming.set(id, text)
  }

  async #ownPhoneWrites(to: string, text: string): Promise<void> {
    const { id } = await this.#whatsapp.send(this.linked.phone, { to, text })
    this.incoming.set(id, text)
  }

  async #ask(api: Api, ask: Omit<Outgoing, 'id' | 'idempotencyKey'>): Promise<void> {
    const message: Outgoing = { ...ask, idempotencyKey: this.#dice.id() }
    this.outgoing.push(message)
    await this.#try(api, message)
  }

  async #try(api: Api, message: Outgoing): Promise<void> {
    const { to, text, idempotencyKey } = message
    const url = `${api.url}/v1/sessions/${this.linked.session}/messages?tenant=${api.tenant}`
    const headers = {
      'x-api-key': api.key,
      'content-type': 'application/json',
      'idempotency-key': idempotencyKey,
    }
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ to, text }) }).catch(
      () => undefined,
    )
    const body = await answer?.text().catch(() => undefined)
    // A server that is busy or asks for patience will have it later, under the same key.
    if (!answer || body === undefined || answer.status >= 500 || answer.status === 429) return
    if (!answer.ok) throw new Problem(answer.status, 'refused', body)
    message.id = (JSON.parse(body) as SentMessage).id
  }
}
