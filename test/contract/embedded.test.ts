import { allContracts } from './all.ts'
import { makeEmbedded } from './embedded-subject.ts'

allContracts(makeEmbedded)
