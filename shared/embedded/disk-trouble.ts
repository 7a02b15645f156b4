/** What is the matter with a file or its disk, for people. */
interface DiskTrouble {
  /** Goes on from the path: "/data/records.db: no space is left on its disk". */
  is: string
  /** What a person can do. */
  hint: string
  /** Whether it may pass without one: what does not is a matter of settings when it is met at the start. */
  passes: boolean
}

const FULL: DiskTrouble = {
  is: 'no space is left on its disk',
  hint: 'Free some space on that disk; what waits goes on by itself.',
  passes: true,
}
const FAULTY: DiskTrouble = {
  is: 'its disk does not read or write (an I/O error)',
  hint: "Look at the machine's own log for what is wrong with the disk; a copy of the data directory on a sound one goes on.",
  passes: true,
}
const NO_DESCRIPTORS: DiskTrouble = {
  is: 'this process may open no more files',
  hint: 'Raise its limit of open files (ulimit -n).',
  passes: true,
}
const DAMAGED: DiskTrouble = {
  is: 'the file is damaged, or is no database of Mooring',
  hint: 'Stop Mooring, keep the file aside, and put the whole data directory back from a backup.',
  passes: false,
}
const READ_ONLY: DiskTrouble = {
  is: 'it can only be read',
  hint: 'Mount its disk for writing, or give the files to the user that Mooring runs as.',
  passes: false,
}
const DENIED: DiskTrouble = {
  is: 'this user may not use it',
  hint: 'Give the whole data directory to the user that Mooring runs as (chown -R).',
  passes: false,
}
const NO_FOLDER: DiskTrouble = {
  is: 'a file stands where a folder must be',
  hint: 'Set MOORING_DATA_DIR to a folder, or to a name that is free: it is made then.',
  passes: false,
}
const UNOPENED: DiskTrouble = {
  is: 'it can not be opened',
  hint: 'It must be a file in a folder that exists, and both must be of the user that Mooring runs as.',
  passes: false,
}
const GONE: DiskTrouble = {
  is: 'it is gone',
  hint: 'Somebody moved or removed a part of the data directory; put it back and start Mooring again.',
  passes: false,
}

/** By errno(3), as Node names them. */
const BY_ERRNO: Readonly<Record<string, DiskTrouble>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EIO: FAULTY,
  EMFILE: NO_DESCRIPTORS,
  ENFILE: NO_DESCRIPTORS,
  EROFS: READ_ONLY,
  EACCES: DENIED,
  EPERM: DENIED,
  ENOTDIR: NO_FOLDER,
  EEXIST: NO_FOLDER,
  EISDIR: UNOPENED,
  ENOENT: GONE,
}

/** By SQLite's primary result code: https://sqlite.org/rescode.html */
const BY_SQLITE_CODE: Readonly<Record<number, DiskTrouble>> = {
  3: DENIED, // PERM
  8: READ_ONLY, // READONLY: mounted so, or the file belongs to somebody else
  10: FAULTY, // IOERR
  11: DAMAGED, // CORRUPT
  13: FULL, // FULL
  14: UNOPENED, // CANTOPEN
  26: DAMAGED, // NOTADB
}

/** What the code of an error of the file system, or of SQLite, says of the disk; `undefined` where it says nothing. */
export const diskTroubleOf = (code: string | number | undefined): DiskTrouble | undefined =>
  typeof code === 'number' ? BY_SQLITE_CODE[code] : code === undefined ? undefined : BY_ERRNO[code]
