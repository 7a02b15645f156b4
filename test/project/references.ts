import type { Page } from './pages.ts'

/** Everything that can be pointed to. Keys of `pages` are paths from the root: `docs/design/state.md`. */
export interface Book {
  pages: ReadonlyMap<string, Page>
  promises: ReadonlyMap<string, string>
}

export interface Fault {
  line: number
  what: string
}

const POINTER = /docs\/(?:design|facts)\/[\w-]+\.md((?:,?\s+(?:and\s+)?§\d+(?:\.\d+)*)*)/g
const SECTION = /§\s?(\d+(?:\.\d+)*)/g
/** Sections of papers that are not ours. */
const OF_OTHERS = /(?:RFC \d+|NIST SP [\w-]+)(?:,?\s+(?:and\s+)?§[\d.]+)*,?\s+(?:and\s+)?$/
/** How design and facts were called before they were here. */
const BY_OLD_NAME = /\bDESIGN\b|(?<!\]\(|[\w/.])facts\/[a-z]/g
/** Only where people write: `(facts: Facts)` is a parameter like any other. */
const FACTS_BY_TITLE = /\(facts?(?::| §)/g
const ID = /\b[A-F]\d{1,2}\b/g
const COMMENT = /\/\*[^]*?\*\/|(?<=^|\s)\/\/[^\n]*/gm
const TITLE =
  /\b(?:test|it|describe)(?:\.\w+)*(?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?\(\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`)/g

/** The pages whose own `§` need no name: all of the design share one numbering, a page of facts has its own. */
const numbersOf = (path: string, book: Book): readonly Page[] => {
  if (path.startsWith('docs/design/'))
    return [...book.pages].filter(([name]) => name.startsWith('docs/design/')).map(([, page]) => page)
  const page = path.startsWith('docs/facts/') ? book.pages.get(path) : undefined
  return page ? [page] : []
}

/** What in a file points to nothing. */
export function faultsOf(path: string, text: string, book: Book): Fault[] {
  const faults: Fault[] = []
  const flat = unwrapped(text)
  const note = (index: number, what: string): void => {
    faults.push({ line: text.slice(0, index).split('\n').length, what })
  }

  const named: [from: number, to: number][] = []
  for (const { 0: pointer, 1: sections = '', index } of flat.matchAll(POINTER)) {
    named.push([index, index + pointer.length])
    const name = pointer.slice(0, pointer.indexOf('.md') + 3)
    const page = book.pages.get(name)
    if (!page) note(index, `there is no ${name}`)
    for (const [, number = ''] of sections.matchAll(SECTION))
      if (page && !page.sections.has(number)) note(index, `${name} has no §${number}`)
  }

  for (const { 0: section, 1: number = '', index } of flat.matchAll(SECTION)) {
    if (named.some(([from, to]) => from <= index && index < to)) continue
    if (OF_OTHERS.test(flat.slice(Math.max(0, index - 120), index))) continue
    if (numbersOf(path, book).some((page) => page.sections.has(number))) continue
    note(index, `${section}: of which page? ${hint(number, book)}`)
  }
  for (const { 0: old, index } of flat.matchAll(BY_OLD_NAME))
    note(index, `"${old}": name the page, docs/design/<page>.md §<number> or docs/facts/<page>.md §<number>`)

  for (const span of written(path, text)) {
    for (const { 0: old, index } of span.text.matchAll(FACTS_BY_TITLE))
      note(span.index + index, `"${old}": name the page, docs/facts/<page>.md §<number>`)
    for (const { 0: id, index } of span.text.matchAll(ID))
      if (!book.promises.has(id)) note(span.index + index, `${id} is no promise of docs/design/promises.md`)
  }
  return faults
}

/** The ids in titles of tests. */
export const idsInTitles = (text: string): string[] =>
  titlesIn(text).flatMap(({ text: title }) => [...title.matchAll(ID)].map(([id]) => id))

/** Where people write: titles of tests, comments, prose. */
function written(path: string, text: string): { text: string; index: number }[] {
  if (path.endsWith('.md')) return [{ text, index: 0 }]
  if (!path.endsWith('.ts')) return []
  const titles = path.endsWith('.test.ts') ? titlesIn(text) : []
  const comments = [...text.matchAll(COMMENT)].map(({ 0: comment, index }) => ({ text: comment, index }))
  return [...titles, ...comments]
}

const titlesIn = (text: string): { text: string; index: number }[] =>
  [...text.matchAll(TITLE)].map(({ 0: call, 1: single, 2: double, 3: template, index }) => {
    const title = single ?? double ?? template ?? ''
    return { text: title, index: index + call.length - title.length - 1 }
  })

/** A pointer may be broken over two lines of a comment: the break becomes spaces, and every index stays what it was. */
const unwrapped = (text: string): string =>
  text.replaceAll(/\n[ \t]*(?:\*(?!\/)|\/\/|#)?[ \t]*/g, (broken) => ' '.repeat(broken.length))

function hint(number: string, book: Book): string {
  const names = [...book.pages].filter(([, page]) => page.sections.has(number)).map(([name]) => name)
  return names.length > 0 ? `${names.join(' or ')} has one` : 'none has it'
}
