/** What a Markdown page offers to be pointed at, and what it points to. Pure: text in, facts out. */
export interface Page {
  /** Numbers of its headings (`6.2`), and of the items of a numbered list right below one (`0.7`). */
  sections: ReadonlySet<string>
  /** Names of its headings as links write them, in the way of GitHub. */
  anchors: ReadonlySet<string>
  /** Targets of its links, without those to other places of the web. */
  links: readonly string[]
  /** Files of the repository that it names in backticks. */
  files: readonly string[]
}

const HEADING = /^#{1,6} +(.*)$/
const NUMBERED = /^§?(\d+(?:\.\d+)*)\.? /
const ITEM = /^(\d+)\. /
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g
const ELSEWHERE = /^[a-z][a-z0-9+.-]*:/
/** A path in one of the rooms, with an ending; not a pattern, and no name that a reader is to fill in. */
const FILE = /`((?:cli|control|docs|infra|runner|shared|test)\/[\w./-]+\.[a-z0-9]+)`/g

/** GitHub's rule: lower case, no marks but hyphens, a hyphen for each space. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-')

export function readPage(text: string): Page {
  const sections = new Set<string>()
  const anchors = new Set<string>()
  let section: string | undefined
  for (const line of withoutFences(text).split('\n')) {
    const heading = HEADING.exec(line)?.[1]
    if (heading !== undefined) {
      section = NUMBERED.exec(`${heading} `)?.[1]
      if (section !== undefined) sections.add(section)
      anchors.add(anchorOf(heading))
      continue
    }
    const item = ITEM.exec(line)?.[1]
    if (section !== undefined && item !== undefined) sections.add(`${section}.${item}`)
  }
  const prose = withoutFences(text)
  const links = [...prose.replaceAll(/`[^`\n]*`/g, '').matchAll(LINK)].map(([, target = '']) => target)
  return {
    sections,
    anchors,
    links: links.filter((target) => !ELSEWHERE.test(target)),
    files: [...prose.matchAll(FILE)].map(([, file = '']) => file),
  }
}

/** Rows `| A1 | what | status |`: the promises by id. */
export const readPromises = (text: string): ReadonlyMap<string, string> =>
  new Map(
    [...text.matchAll(/^\| ([A-F]\d{1,2}) \| .* \| ([^|]+) \|$/gm)].map(([, id = '', status = '']) => [
      id,
      status,
    ]),
  )

const withoutFences = (text: string): string => text.replaceAll(/^```[^]*?^```/gm, '')
