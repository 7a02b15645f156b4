import { html } from 'hono/html'
import { companions, pnOf } from './accounts.ts'
import type { World } from './world.ts'

/** A page that plays the phones by hand: list them, scan, send, unlink. It is drawn anew after every action. */
export function page(world: World) {
  const phones = [...world.accounts.values()]
  return html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" />
      <title>WhatsApp stand-in</title>
      <style>
        body {
          font:
            15px/1.5 system-ui,
            sans-serif;
          max-width: 46rem;
          margin: 2rem auto;
          padding: 0 1rem;
        }
        section {
          border: 1px solid #8885;
          border-radius: 8px;
          padding: 0.5rem 1rem;
          margin: 1rem 0;
        }
        form {
          display: flex;
          gap: 0.5rem;
          margin: 0.5rem 0;
        }
        input {
          flex: 1;
          min-width: 0;
        }
        h2 {
          margin: 0.25rem 0;
          font-size: 1.1rem;
        }
      </style>
      <h1>WhatsApp stand-in</h1>
      <form data-post="/phones">
        <input name="phone" placeholder="4915100000001" /><button>New phone</button>
      </form>
      ${phones.map(
        (account) =>
          html`<section>
            <h2>${account.phone} · ${account.name}</h2>
            ${companions(account).map(
              (device) =>
                html`<form data-post="/phones/${account.phone}/unlink">
                  <input type="hidden" name="device" value="${device.id}" />
                  <span
                    >${pnOf(device)} ${device.line ? 'online' : 'offline'}, ${device.queue.count('message')}
                    waiting</span
                  >
                  <button>Unlink</button>
                </form>`,
            )}
            <form data-post="/phones/${account.phone}/scan">
              <input name="qr" placeholder="QR text" /><button>Scan</button>
            </form>
            <form data-post="/phones/${account.phone}/code">
              <input name="code" placeholder="Pairing code" /><button>Link</button>
            </form>
            <form data-post="/phones/${account.phone}/send">
              <input name="to" placeholder="to" /><input name="text" placeholder="text" /><button>
                Send
              </button>
            </form>
            <a href="/phones/${account.phone}/messages">messages</a>
          </section>`,
      )}
      <p><a href="/report">report</a> · <a href="/faults">faults</a></p>
      <script>
        for (const form of document.querySelectorAll('form')) {
          form.addEventListener('submit', async (event) => {
            event.preventDefault()
            const body = Object.fromEntries(new FormData(form))
            if ('device' in body) body.device = Number(body.device)
            const answer = await fetch(form.dataset.post, { method: 'POST', body: JSON.stringify(body) })
            if (answer.ok) location.reload()
            else alert((await answer.json()).message)
          })
        }
      </script>
    </html>`
}
