import { mustBeStorable } from '../store/storable.ts'

/**
 * A record as the text of its column. JSON would keep half a surrogate pair that a column of its own mangles and Firestore
 * refuses; what one set of stores can't keep, none does. `name` says which record it is.
 * @throws CodedError `store_refused`
 */
export function toBody(doing: string, name: string, value: object): string {
  mustBeStorable(doing, { [name]: value })
  return JSON.stringify(value)
}
