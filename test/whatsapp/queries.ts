import { createHash } from 'node:crypto'
import { accountOf, deviceOf, lidOf, pnOf } from './accounts.ts'
import { groupNode, groupsOf, openGroup } from './groups.ts'
import { deliverBacklog } from './deliver.ts'
import { unlink } from './linking.ts'
import { acceptPreKeys, bundleNode, countNode, digestNode, signedPreKey } from './prekeys.ts'
import { child, children, SERVER, stanza, type Stanza } from './stanza.ts'
import { strikeAt } from './strike.ts'
import { answerUsync } from './usync.ts'
import { welcome } from './welcome.ts'
import type { Device, Line, World } from './world.ts'

/** What an iq gets back: the children of its result, or an error. */
type Answer = Stanza[] | { error: string; text: string }
type Query = (world: World, device: Device, request: Stanza) => Answer

const nothing: Query = () => []

/** What rc14 asks on its way to `open` and afterwards, by xmlns. Whatever is missing here is answered empty and noted. */
const QUERIES: Record<string, Query> = {
  encrypt: answerEncrypt,
  usync: (world, device, request) => answerUsync(world, device, request),
  'w:g2': answerGroups,
  'w:p': nothing,
  passive: nothing,
  abt: () => [stanza('props', { hash: PROPS_HASH, protocol: '1', refresh: '86400' }, [])],
  blocklist: () => [stanza('list', { dhash: PROPS_HASH }, [])],
  privacy: (_world, _device, request) => (child(request, 'privacy') ? [PRIVACY] : []),
  'w:sync:app:state': (_world, _device, request) => [
    stanza('sync', {}, children(child(request, 'sync'), 'collection').map(emptyCollection)),
  ],
  'w:profile:picture': (_world, _device, request) =>
    request.attrs['type'] === 'get' ? { error: '404', text: 'item-not-found' } : [],
  'w:biz': () => [stanza('business_profile', {}, [])],
  'w:m': () => [
    stanza('media_conn', { auth: 'none', ttl: '3600', auth_ttl: '3600', max_buckets: '1' }, [
      stanza('host', { hostname: 'media.invalid' }),
    ]),
  ],
  'w:mex': () => [stanza('result', {}, Buffer.from('{"data":{}}'))],
  md: answerDevices,
  disappearing_mode: nothing,
  status: nothing,
  'urn:xmpp:whatsapp:dirty': nothing,
  'w:stats': nothing,
  bot: () => [stanza('bot', {}, [])],
}

const PROPS_HASH = createHash('sha256').update('props of the stand-in').digest('base64url').slice(0, 12)
const PRIVACY = stanza(
  'privacy',
  {},
  ['readreceipts', 'profile', 'status', 'online', 'last', 'groupadd', 'calladd', 'messages'].map((name) =>
    stanza('category', { name, value: 'all' }),
  ),
)

/** Answers an iq of a logged-in device. */
export function answerQuery(world: World, line: Line, device: Device, request: Stanza): void {
  const { id = '', type, xmlns = '' } = request.attrs
  if (type === 'result' || type === 'error') return
  const query = QUERIES[xmlns]
  if (!query) world.log.unanswered.set(xmlns, (world.log.unanswered.get(xmlns) ?? 0) + 1)
  const answer = (query ?? nothing)(world, device, request)
  const from = request.attrs['to'] ?? SERVER
  if (Array.isArray(answer)) {
    line.send(stanza('iq', { from, type: 'result', id }, answer.length ? answer : undefined))
  } else {
    const error = stanza('error', { code: answer.error, text: answer.text })
    line.send(stanza('iq', { from, type: 'error', id }, [error]))
  }
  if (xmlns === 'passive' && child(request, 'active')) goActive(world, line, device)
  if (xmlns === 'md' && Array.isArray(answer) && child(request, 'remove-companion-device'))
    unlink(world, device)
}

/** From here on the device gets what it missed, and what comes. */
function goActive(world: World, line: Line, device: Device): void {
  deliverBacklog(device)
  welcome(world, device)
  strikeAt(world, line, 'open')
}

function answerEncrypt(world: World, device: Device, request: Stanza): Answer {
  const shelf = device.keys
  if (!shelf) return []
  if (child(request, 'count')) return [countNode(shelf)]
  if (child(request, 'digest')) return [digestNode(shelf)]
  const rotated = child(child(request, 'rotate'), 'skey')
  if (rotated) {
    shelf.signedPreKey = signedPreKey(rotated)
    return []
  }
  const asked = child(request, 'key')
  if (!asked) {
    acceptPreKeys(device, request)
    return []
  }
  const users = children(asked, 'user').map(({ attrs: { jid = '' } }) =>
    bundleNode(world, jid, deviceOf(world, jid)),
  )
  return [stanza('list', {}, users)]
}

function answerGroups(world: World, device: Device, request: Stanza): Answer {
  if (child(request, 'participating')) {
    return [stanza('groups', {}, groupsOf(world, device.account).map(groupNode))]
  }
  const create = child(request, 'create')
  if (create) {
    const members = children(create, 'participant').flatMap(
      ({ attrs }) => accountOf(world, attrs['jid']) ?? [],
    )
    return [groupNode(openGroup(world, device.account, create.attrs['subject'] ?? '', members))]
  }
  const group = world.groups.get(request.attrs['to'] ?? '')
  if (!group) return { error: '404', text: 'item-not-found' }
  if (!group.participants.has(device.account)) return { error: '403', text: 'forbidden' }
  return child(request, 'query') ? [groupNode(group)] : []
}

/** A companion may take off itself, nobody else (what WhatsApp does with another's jid is not known). */
function answerDevices(_world: World, device: Device, request: Stanza): Answer {
  const address = child(request, 'remove-companion-device')?.attrs['jid']
  if (address === undefined || [pnOf(device), lidOf(device)].includes(address)) return []
  return { error: '403', text: 'forbidden' }
}

function emptyCollection({ attrs }: Stanza): Stanza {
  const { name, version } = attrs
  return stanza('collection', { name, version: version ?? '0', has_more_patches: 'false' })
}
