import { proto } from '@whiskeysockets/baileys'
import { Hono, type Context } from 'hono'
import { z } from 'zod'
import { deviceOf, lidOf, pnOf, accountLid, accountPn } from './accounts.ts'
import { deliver } from './deliver.ts'
import { faultSchema } from './faults.ts'
import { openGroup } from './groups.ts'
import { unlink } from './linking.ts'
import { page } from './page.ts'
import { refreshCode, scan, typeCode } from './pairing.ts'
import { addSimulatedCompanion, burst, messageId, openPhone, phoneOf, simulatedDevice } from './phones.ts'
import { Refused } from './refused.ts'
import { deviceReport, phoneReport, report, resetReport } from './report.ts'
import { seed } from './seed.ts'
import type { Stanza } from './stanza.ts'
import { clearFaults, setFault } from './strike.ts'
import { note, type World } from './world.ts'

const device = z.number().int().nonnegative().default(0)
const bodies = {
  /** `written`: another number that people write for it, and that is nobody's. */
  phone: z.object({ phone: z.string(), name: z.string().optional(), written: z.string().optional() }),
  scan: z.object({ qr: z.string() }),
  code: z.object({ code: z.string() }),
  send: z.object({ to: z.string(), text: z.string(), id: z.string().optional(), device }),
  sendGroup: z.object({ group: z.string(), text: z.string(), id: z.string().optional(), device }),
  burst: z.object({
    to: z.string(),
    count: z.number().int().positive(),
    everyMs: z.number().nonnegative().default(0),
    prefix: z.string().default('burst '),
    device,
  }),
  unlink: z.object({ device: z.number().int().positive() }),
  /** The message as protobuf JSON: bytes are base64. */
  forge: z.object({ to: z.string(), message: z.record(z.string(), z.unknown()), id: z.string().optional() }),
  forgeReceipt: z.object({ to: z.string(), id: z.string(), type: z.enum(['read', 'delivered', 'retry']) }),
  forget: z.object({ device, of: z.string() }),
  group: z.object({ subject: z.string(), participants: z.array(z.string()).min(1) }),
  seed: z.object({
    count: z.number().int().positive(),
    prefix: z.string().regex(/^\d+$/).default('4915'),
    preKeys: z.number().int().min(1).max(812).default(30),
    dir: z.string().optional(),
  }),
  webPage: z.object({ status: z.number().int().default(200), body: z.string() }),
  push: z.object({ to: z.string(), node: z.unknown() }),
} as const

/** The remote control: everything a person, a phone or the network could do, over JSON. */
export function adminApp(world: World): Hono {
  const app = new Hono()
  app.onError((error, context) => {
    if (error instanceof Refused)
      return context.json({ error: error.code, message: error.message }, error.status)
    if (error instanceof z.ZodError)
      return context.json({ error: 'bad_request', message: z.prettifyError(error) }, 400)
    return context.json({ error: 'bug', message: String(error.stack) }, 500)
  })
  const phone = (context: Context) => phoneOf(world, context.req.param('phone') ?? '')

  app.get('/', (context) => context.html(page(world)))
  app.get('/report', (context) => context.json(report(world)))
  app.get('/devices/:jid', (context) => {
    const found = world.everyDevice.get(context.req.param('jid'))
    if (!found)
      throw new Refused(404, 'device_unknown', `there never was a device ${context.req.param('jid')}`)
    return context.json(deviceReport(world, found))
  })
  app.post('/report/reset', (context) => {
    resetReport(world)
    return context.json({ ok: true })
  })
  app.get('/messages', (context) => {
    const id = context.req.query('id')
    return context.json(world.log.messages.filter((message) => id === undefined || message.id === id))
  })

  app.get('/phones', (context) => context.json([...world.accounts.values()].map(phoneReport)))
  app.get('/phones/:phone', (context) => context.json(phoneReport(phone(context))))
  app.post('/phones', async (context) => {
    const wish = await read(context, bodies.phone)
    const account = openPhone(world, wish.phone, wish.name)
    if (wish.written !== undefined) world.written.set(wish.written, account)
    return context.json({ phone: account.phone, jid: accountPn(account), lid: accountLid(account) }, 201)
  })
  app.post('/phones/:phone/scan', async (context) => {
    const { qr } = await read(context, bodies.scan)
    return context.json(linked(await scan(world, phone(context), qr)))
  })
  app.post('/phones/:phone/code', async (context) => {
    const { code } = await read(context, bodies.code)
    return context.json(linked(await typeCode(world, phone(context), code)))
  })
  app.post('/phones/:phone/refresh-code', (context) => {
    refreshCode(world, phone(context))
    return context.json({ ok: true })
  })
  app.post('/phones/:phone/send', async (context) => {
    const wish = await read(context, bodies.send)
    const id = wish.id ?? messageId()
    const sender = simulatedDevice(phone(context), wish.device)
    await sender.sendText(phoneOf(world, wish.to), wish.text, id)
    return context.json({ id })
  })
  app.post('/phones/:phone/send-group', async (context) => {
    const wish = await read(context, bodies.sendGroup)
    const id = wish.id ?? messageId()
    const group = world.groups.get(wish.group)
    if (!group) throw new Refused(404, 'group_unknown', `there is no group ${wish.group}`)
    await simulatedDevice(phone(context), wish.device).sendToGroup(group, wish.text, id)
    return context.json({ id })
  })
  app.post('/phones/:phone/burst', async (context) => {
    const wish = await read(context, bodies.burst)
    const ids = Array.from({ length: wish.count }, messageId)
    const sender = simulatedDevice(phone(context), wish.device)
    const { everyMs, prefix } = wish
    burst(world, sender, phoneOf(world, wish.to), { ids, everyMs, prefix }).catch((error: unknown) =>
      note(world.log.troubles, `burst: ${String(error)}`),
    )
    return context.json({ ids }, 202)
  })
  app.get('/phones/:phone/messages', (context) => {
    const wanted = context.req.query('device') ?? '0'
    const simulations = [...phone(context).devices.values()]
      .filter(({ simulated, id }) => simulated && (wanted === 'all' || id === Number(wanted)))
      .flatMap(({ account, id }) => simulatedDevice(account, id).received)
    const own = context.req.query('own') === 'true'
    return context.json(simulations.filter(({ fromMe }) => own || !fromMe))
  })
  app.post('/phones/:phone/unlink', async (context) => {
    const wish = await read(context, bodies.unlink)
    const companion = phone(context).devices.get(wish.device)
    if (!companion) throw new Refused(404, 'device_unknown', `the phone has no device ${wish.device}`)
    unlink(world, companion)
    return context.json({ ok: true })
  })
  app.post('/phones/:phone/companions', (context) =>
    context.json(linked(addSimulatedCompanion(world, phone(context))), 201),
  )
  app.post('/phones/:phone/forge', async (context) => {
    const wish = await read(context, bodies.forge)
    const id = wish.id ?? messageId()
    const message = proto.Message.fromObject(wish.message)
    await simulatedDevice(phone(context), 0).forge(phoneOf(world, wish.to), message, id)
    return context.json({ id })
  })
  app.post('/phones/:phone/forge-receipt', async (context) => {
    const wish = await read(context, bodies.forgeReceipt)
    const to = deviceOf(world, wish.to)
    if (!to) throw new Refused(404, 'device_unknown', `there is no device ${wish.to}`)
    await simulatedDevice(phone(context), 0).forgeReceipt(to, wish.id, wish.type)
    return context.json({ ok: true })
  })
  app.post('/phones/:phone/forget', async (context) => {
    const wish = await read(context, bodies.forget)
    const other = deviceOf(world, wish.of)
    if (!other) throw new Refused(404, 'device_unknown', `there is no device ${wish.of}`)
    await simulatedDevice(phone(context), wish.device).forget(other)
    return context.json({ ok: true })
  })

  app.post('/groups', async (context) => {
    const { subject, participants } = await read(context, bodies.group)
    const [creator, ...members] = participants.map((name) => phoneOf(world, name))
    if (!creator) throw new Refused(400, 'bad_request', 'a group needs a member')
    return context.json({ id: openGroup(world, creator, subject, members).id }, 201)
  })
  app.post('/seed', async (context) => {
    return context.json({ sessions: await seed(world, await read(context, bodies.seed)) }, 201)
  })
  app.post('/web-page', async (context) => {
    world.webPage = await read(context, bodies.webPage)
    return context.json({ ok: true })
  })
  app.post('/push', async (context) => {
    const { to, node } = await read(context, bodies.push)
    const target = deviceOf(world, to)
    if (!target) throw new Refused(404, 'device_unknown', `there is no device ${to}`)
    deliver(world, target, node as Stanza)
    return context.json({ ok: true })
  })

  app.get('/faults', (context) => context.json(world.faults.active))
  app.post('/faults', async (context) => context.json(setFault(world, await read(context, faultSchema)), 201))
  app.delete('/faults', (context) => {
    clearFaults(world)
    return context.json({ ok: true })
  })
  app.delete('/faults/:id', (context) => {
    clearFaults(world, context.req.param('id'))
    return context.json({ ok: true })
  })
  return app
}

async function read<T extends z.ZodType>(context: Context, schema: T): Promise<z.infer<T>> {
  const text = await context.req.text()
  return schema.parse(text === '' ? {} : JSON.parse(text))
}

function linked(companion: Parameters<typeof pnOf>[0]) {
  return { device: companion.id, jid: pnOf(companion), lid: lidOf(companion) }
}
