/**
 * Sentences of rc14 that Mooring acts on, since what they say is told in no other way. They are nobody's promise: the test
 * looks each up in the library's source.
 */

/** What rc14 logs, and nothing else, when it refuses a message stanza before or after its decryption (`handleMessage`). */
export const MESSAGE_GIVEN_UP = 'error in handling message'

/** With status 408, which has five other causes (docs/facts/baileys.md §1.1): nobody scanned the QR in its time. */
export const QR_ENDED = 'QR refs attempts ended'
