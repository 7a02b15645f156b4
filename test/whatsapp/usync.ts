import { accountLid, accountOf, accountPn } from './accounts.ts'
import { isLid, jid, PHONE_SERVER } from './address.ts'
import { bytes, child, children, seconds, stanza, type Stanza } from './stanza.ts'
import type { Account, Device, World } from './world.ts'

/** Answers a usync: for each user what was asked for, devices with key indexes, hidden identity, existence. */
export function answerUsync(world: World, asker: Device, request: Stanza): Stanza[] {
  const usync = child(request, 'usync')
  const asked = children(child(usync, 'query')).map(({ tag }) => tag)
  const users = children(child(usync, 'list'), 'user').map((user) => answerUser(world, asker, user, asked))
  return [
    stanza('usync', usync?.attrs, [
      stanza(
        'result',
        {},
        asked.map((tag) => stanza(tag)),
      ),
      stanza('list', {}, users),
    ]),
  ]
}

function answerUser(world: World, asker: Device, user: Stanza, asked: readonly string[]): Stanza {
  const digits = bytes(child(user, 'contact')).toString().replaceAll(/\D/g, '')
  const address = user.attrs['jid'] ?? jid(digits, PHONE_SERVER)
  // As people write it a number finds its account by `contact` alone; what is sent to it goes nowhere.
  const account = accountOf(world, address) ?? world.written.get(digits)
  if (!account) {
    return stanza(
      'user',
      { jid: address },
      asked.includes('contact') ? [stanza('contact', { type: 'out' })] : [],
    )
  }
  account.watchers.add(asker.account)
  const hidden = isLid(address)
  const answers: Stanza[] = []
  for (const protocol of asked) {
    if (protocol === 'devices') answers.push(devicesNode(account))
    // Asked by its hidden identity a user has no second one, and rc14 would store it as a phone number.
    else if (protocol === 'lid' && !hidden) answers.push(stanza('lid', { val: accountLid(account) }))
    else if (protocol === 'contact') answers.push(stanza('contact', { type: 'in' }))
    else if (protocol === 'status')
      answers.push(stanza('status', { t: seconds() }, Buffer.from('Hey there!')))
    else if (protocol === 'disappearing_mode') answers.push(stanza(protocol, { duration: '0', t: '0' }))
  }
  return stanza('user', { jid: hidden ? accountLid(account) : accountPn(account) }, answers)
}

/** Without `key-index` rc14 ignores a companion. */
function devicesNode(account: Account): Stanza {
  const devices = [...account.devices.values()].map((device) =>
    stanza('device', {
      id: String(device.id),
      'key-index': device.id === 0 ? undefined : String(device.keyIndex),
    }),
  )
  return stanza('devices', {}, [
    stanza('device-list', {}, devices),
    stanza('key-index-list', { ts: seconds() }, Buffer.from(account.phone)),
  ])
}
