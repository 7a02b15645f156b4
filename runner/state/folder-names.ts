/** The longest first: `sender-key-` begins `sender-key-memory-` too. */
const TYPES = [
  'app-state-sync-version',
  'app-state-sync-key',
  'sender-key-memory',
  'identity-key',
  'lid-mapping',
  'device-list',
  'sender-key',
  'pre-key',
  'session',
  'tctoken',
] as const
export type FolderType = (typeof TYPES)[number]

export const CREDS_FILE = 'creds.json'
const EXTENSION = '.json'
/** No file system has longer ones. */
const NAME_MAX = 255

/**
 * The record that a file of a `useMultiFileAuthState` folder holds; `undefined` for a file that is not of such a folder.
 * There every `/` of an id became `__` and every `:` became `-`; what a `__` or `-` was is known from the type
 * (docs/facts/baileys.md §11). Pure.
 */
export function recordOfFile(name: string): { type: FolderType; id: string } | undefined {
  if (!name.endsWith(EXTENSION) || name.length > NAME_MAX) return undefined
  const type = TYPES.find((one) => name.startsWith(`${one}-`))
  if (!type) return undefined
  const id = RULES[type](name.slice(type.length + 1, -EXTENSION.length))
  return id === undefined || id === '' ? undefined : { type, id }
}

const verbatim = (part: string): string => part

/** What the id was, given what the file says. */
const RULES: Record<FolderType, (part: string) => string | undefined> = {
  // Base64 has a slash and no underscore.
  'app-state-sync-key': (part) => part.replaceAll('__', '/'),
  'app-state-sync-version': verbatim,
  // `group::user::device`, where the group of an old kind has a single hyphen of its own.
  'sender-key': (part) => {
    const parts = /^(.*)--([^-]+)--(\d+)$/s.exec(part)
    return parts ? `${parts[1]}::${parts[2]}::${parts[3]}` : undefined
  },
  // `1555-1500@g.us` is a group of the old kind with its own hyphen; a device of a person had a colon.
  'sender-key-memory': (part) => {
    const parts = /^(\d+)-(\d+)@(.*)$/s.exec(part)
    const isGroup = parts?.[3] === 'g.us' || parts?.[3] === 'broadcast'
    return parts && !isGroup ? `${parts[1]}:${parts[2]}@${parts[3]}` : part
  },
  'identity-key': verbatim,
  'lid-mapping': verbatim,
  'device-list': verbatim,
  'pre-key': (part) => (/^\d{1,8}$/.test(part) ? part : undefined),
  session: verbatim,
  // The list of all jids is called `__index`: the one name in which `__` was no slash.
  tctoken: (part) => part.replace(/^(\d+)-(\d+)@/, '$1:$2@'),
}
