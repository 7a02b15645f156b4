/** Where the secret stands in the text of a QR: reference, Noise key, identity key, secret, kind of client. */
const SECRET_FIELD = 3

/**
 * A QR of the library with this secret in it. rc14 keeps the secret that it had when the references came, so after an exchange
 * every QR of that connection carries the old one. A text of another form is left as it is.
 */
export function withSecret(qr: string, secret: string): string {
  const fields = qr.split(',')
  if (fields.length <= SECRET_FIELD) return qr
  return fields.with(SECRET_FIELD, secret).join(',')
}
