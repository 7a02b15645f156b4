import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import { ERRORS } from '#shared/errors.ts'
import type { ControlApp, Services } from '../http/context.ts'
import { titleOf } from '../http/problem.ts'

type Document = ReturnType<typeof documentOf>

/** The OpenAPI document of every declared route. */
function documentOf(app: ControlApp, version: string) {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Mooring',
      version,
      description:
        'Keeps WhatsApp multi-device sessions alive. Send an API key as `Authorization: Bearer moor_…` or `X-API-Key`; a ' +
        'key of the operator names the tenant with `?tenant=`. Each route says which scope it needs (`x-scope`), and what a key for ' +
        'named sessions gets (`x-named-sessions`). Errors are ' +
        'problem documents (RFC 9457) with a stable `code`. Times are ISO 8601.',
    },
    servers: [{ url: '/' }],
    tags: [
      'sessions',
      'pairing',
      'messages',
      'events',
      'backups',
      'health',
      'operation',
      'tenants',
      'keys',
    ].map((name) => ({ name })),
  })
}

/** `/openapi.json`, and `/docs`: the same as one page that needs neither a script nor a network. */
export function docsRoutes(app: ControlApp, services: Services): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  app.openAPIRegistry.registerComponent('securitySchemes', 'apiKey', {
    type: 'apiKey',
    in: 'header',
    name: 'X-API-Key',
  })
  let document: Document | undefined
  const once = (): Document => (document ??= documentOf(app, services.version))
  app.get('/openapi.json', (c) => c.json(once()))
  app.get('/docs', (c) => {
    c.header('Content-Security-Policy', POLICY)
    return c.html(page(once()))
  })
  app.get('/', (c) => c.redirect('/docs'))
}

interface Operation {
  method: string
  path: string
  tags?: string[]
  summary?: string
  description?: string
  parameters?: { name: string; in: string; required?: boolean; description?: string }[]
  requestBody?: { content: Record<string, { schema?: unknown }> }
  responses?: Record<string, { description?: string; content?: Record<string, { schema?: unknown }> }>
  security?: Record<string, string[]>[]
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const

function operationsOf(document: Document): Operation[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method] as unknown as Omit<Operation, 'method' | 'path'> | undefined
      return operation ? [{ ...operation, method: method.toUpperCase(), path }] : []
    }),
  )
}

const page = (document: Document) => {
  const operations = operationsOf(document)
  const tags = (document.tags ?? []).map(({ name }) => name)
  const schemas = Object.entries(document.components?.schemas ?? {})
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${document.info.title} API</title>
        ${raw(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <h1>${document.info.title} API <small>${document.info.version}</small></h1>
        <p>${document.info.description} The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>
        ${tags.map(
          (tag) =>
            html`<h2 id="${tag}">${tag}</h2>
              ${operations.filter((operation) => operation.tags?.includes(tag)).map(section)}`,
        )}
        <h2 id="schemas">schemas</h2>
        ${schemas.map(
          ([name, schema]) =>
            html`<details id="schema-${name}">
              <summary><b>${name}</b></summary>
              <pre>${JSON.stringify(schema, null, 2)}</pre>
            </details>`,
        )}
        <h2 id="problems">problems</h2>
        <table>
          <tr>
            <th>code</th>
            <th>status</th>
            <th>what to do</th>
          </tr>
          ${[...Object.entries(ERRORS), ['internal', { http: 500, hint: 'See the log.' }] as const].map(
            ([code, { http, hint }]) =>
              html`<tr id="problem-${code}">
                <td><code title="${titleOf(code)}">${code}</code></td>
                <td>${http}</td>
                <td>${hint}</td>
              </tr>`,
          )}
        </table>
      </body>
    </html>`
}

function section(operation: Operation) {
  const [scheme] = operation.security ?? []
  const scope = scheme ? Object.values(scheme)[0]?.[0] : undefined
  return html`<details>
    <summary>
      <code class="${operation.method}">${operation.method}</code> <code>${operation.path}</code>
      <span>${operation.summary}</span>
    </summary>
    <p>${operation.description}</p>
    <p>${scope === undefined ? 'Needs no key.' : html`Needs the scope <code>${scope}</code>.`}</p>
    <ul>
      ${(operation.parameters ?? []).map(
        (parameter) =>
          html`<li>
            <code>${parameter.name}</code> in ${parameter.in}${parameter.required ? ', required' : ''}.
            ${parameter.description}
          </li>`,
      )}
    </ul>
    ${bodies('body', operation.requestBody?.content)}
    ${Object.entries(operation.responses ?? {}).map(
      ([status, answer]) =>
        html`<p><b>${status}</b> ${answer.description}</p>
          ${status === 'default' ? '' : bodies('answer', answer.content)}`,
    )}
  </details>`
}

const bodies = (title: string, content: Record<string, { schema?: unknown }> = {}) =>
  Object.entries(content).map(([type, { schema }]) => {
    const ref = (schema as { $ref?: string } | undefined)?.$ref?.split('/').at(-1)
    return ref === undefined
      ? html`<pre>${title}, ${type}: ${JSON.stringify(schema, null, 2)}</pre>`
      : html`<pre>${title}, ${type}: <a href="#schema-${ref}">${ref}</a></pre>`
  })

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid #8884; border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem }
summary { cursor: pointer } summary span { opacity: .75 }
pre { overflow: auto; background: #8881; padding: .6rem; border-radius: 6px }
td, th { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top }
`

/** The page loads nothing, and takes this one style sheet. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'`
