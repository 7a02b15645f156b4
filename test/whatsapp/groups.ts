import { accountLid, accountPn, notificationId } from './accounts.ts'
import { GROUP_SERVER, jid } from './address.ts'
import { deliver } from './deliver.ts'
import { seconds, stanza, type Stanza } from './stanza.ts'
import type { Account, Group, World } from './world.ts'

/** Makes a group and tells its members. Groups here are addressed by hidden identity, as new ones are. */
export function openGroup(
  world: World,
  creator: Account,
  subject: string,
  members: readonly Account[],
): Group {
  const id = jid(`1203630${String(world.groups.size + 1).padStart(11, '0')}`, GROUP_SERVER)
  const participants = new Set([creator, ...members])
  const group: Group = { id, subject, creator, createdAt: Date.now(), participants }
  world.groups.set(id, group)
  for (const device of [...participants].flatMap((account) => [...account.devices.values()])) {
    if (device.simulated) continue
    const attributes = {
      id: notificationId(),
      from: id,
      type: 'w:gp2',
      participant: accountLid(creator),
      participant_pn: accountPn(creator),
      addressing_mode: 'lid',
      t: seconds(),
    }
    deliver(world, device, stanza('notification', attributes, [stanza('create', {}, [groupNode(group)])]))
  }
  return group
}

/** The group as `w:g2` queries answer it. */
export function groupNode(group: Group): Stanza {
  const created = Math.floor(group.createdAt / 1000).toString()
  const attributes = {
    id: group.id.split('@')[0],
    subject: group.subject,
    s_t: created,
    s_o: accountLid(group.creator),
    s_o_pn: accountPn(group.creator),
    creation: created,
    creator: accountLid(group.creator),
    creator_pn: accountPn(group.creator),
    addressing_mode: 'lid',
    size: String(group.participants.size),
  }
  const participants = [...group.participants].map((account) =>
    stanza('participant', {
      jid: accountLid(account),
      phone_number: accountPn(account),
      type: account === group.creator ? 'superadmin' : undefined,
    }),
  )
  return stanza('group', attributes, participants)
}

/** The groups an account is in. */
export function groupsOf(world: World, account: Account): Group[] {
  return [...world.groups.values()].filter(({ participants }) => participants.has(account))
}
