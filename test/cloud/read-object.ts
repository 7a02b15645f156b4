import { systemClock } from '#shared/clock.ts'
import { noMeter } from '#shared/google/meter.ts'
import { openBucket, storageBlobStore } from '#shared/google/storage-blob-store.ts'
import { systemRandom } from '#shared/random.ts'

/** `node read-object.ts URL BUCKET NAME`: reads an object as production does and prints its length. */
const [url, bucket = '', name = ''] = process.argv.slice(2)
const blobs = storageBlobStore({
  bucket: openBucket(bucket, 'p', url),
  prefix: '',
  clock: systemClock,
  random: systemRandom,
  meter: noMeter,
  retry: { tries: 4, firstMs: 5, tryTimeoutMs: 5000 },
})
let length = 0
for await (const piece of blobs.read(name)) length += piece.byteLength
console.log(length)
