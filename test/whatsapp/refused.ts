/** The stand-in will not do what the admin API asked for; `status` is the HTTP answer, `code` is stable. */
export class Refused extends Error {
  readonly status: 400 | 404 | 409 | 502 | 504
  readonly code: string

  constructor(status: Refused['status'], code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}
