/** W3C: `version-traceid-spanid-flags`, https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})/
/** Google's older one: `traceid/spanid;o=flags`, with the span as a decimal number. */
const CLOUD_TRACE = /^([\da-f]{32})(?:\/(\d{1,20}))?(?:;o=(\d))?/

/**
 * The fields by which Cloud Logging puts our lines under the request that Cloud Run logged, and Cloud Trace beside its span.
 * Nothing where the project is not known or the request came without a trace; a header that makes no sense is no trace.
 */
export function traceFields(
  project: string | undefined,
  header: (name: string) => string | undefined,
): Record<string, string | boolean> {
  if (project === undefined) return {}
  const w3c = TRACEPARENT.exec(header('traceparent') ?? '')
  if (w3c) return fields(project, w3c[1], w3c[2], Number.parseInt(w3c[3] ?? '0', 16) % 2 === 1)
  const google = CLOUD_TRACE.exec(header('x-cloud-trace-context') ?? '')
  if (!google) return {}
  const span = google[2] === undefined ? undefined : BigInt(google[2]).toString(16).padStart(16, '0')
  return fields(project, google[1], span, google[3] === '1')
}

const fields = (project: string, trace: string | undefined, span: string | undefined, sampled: boolean) => ({
  'logging.googleapis.com/trace': `projects/${project}/traces/${trace}`,
  ...(span === undefined ? {} : { 'logging.googleapis.com/spanId': span }),
  'logging.googleapis.com/trace_sampled': sampled,
})
