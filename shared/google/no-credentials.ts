import { GoogleAuth, googleAuthLibrary } from 'google-gax'

/**
 * For emulators and stand-ins. Without it a client looks for real credentials first, and for a metadata server that is
 * not there, although it sends none without TLS.
 */
export const noCredentials = (): GoogleAuth =>
  new GoogleAuth({ authClient: new googleAuthLibrary.PassThroughClient() })
