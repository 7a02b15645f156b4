import { expect, test } from 'vitest'
import packageJson from '../../../package.json' with { type: 'json' }
import { installed } from './library.fixture.ts'

/** What this room does was read and measured in these versions; another one begins with the checklist of its README. */
const READ = { '@whiskeysockets/baileys': '7.0.0-rc14', libsignal: '6.0.0' }

test('the library is the very version that this room was written for, and no range lets in another', () => {
  expect(installed).toEqual(READ)
  expect(packageJson.dependencies).toMatchObject(READ)
})
