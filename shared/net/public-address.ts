import ipaddr from 'ipaddr.js'

/** What an operator may open, for one machine and for tests; link-local, multicast and reserved ones stay closed. */
const PRIVATE_RANGES = new Set(['loopback', 'private', 'uniqueLocal', 'carrierGradeNat'])

/**
 * Where clouds hand a machine its credentials, as far as no range says so. Closed also where private ones are open.
 * 168.63.129.16: learn.microsoft.com, "What is IP address 168.63.129.16?"; fd20:ce::254: cloud.google.com, "About VM
 * metadata"; fd00:ec2::254: docs.aws.amazon.com, "Access instance metadata"; 100.100.100.200: alibabacloud.com, "Instance metadata".
 */
const METADATA = new Set(['168.63.129.16', 'fd20:ce::254', 'fd00:ec2::254', '100.100.100.200'])

/** All that was ever handed out as global unicast; IANA keeps the rest of IPv6 back. RFC 4291 §2.4, RFC 3587. */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3]
/** Where an IPv4 address begins inside an IPv6 one, in bytes: RFC 6052 §2.1 (NAT64, /96), RFC 3056 §2 (6to4). */
const NAT64_V4_AT = 12
const SIX_TO_FOUR_V4_AT = 2
/** The well-known prefix of NAT64. The other one, of RFC 8215, is for use inside of a network alone, so it stays closed. */
const NAT64: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('64:ff9b::'), 96]

/**
 * Whether a tenant may have us connect to this IP address: public unicast, also after what is mapped or translated
 * (v4-mapped, NAT64, 6to4) is taken for the address that the bytes end up at. Anything that is no IP address: no.
 */
export function mayConnect(ip: string, allowPrivate: boolean): boolean {
  // A zone (fe80::1%eth0) chooses a network card of ours.
  if (ip.includes('%') || !ipaddr.isValid(ip)) return false
  const address = meant(ipaddr.parse(ip))
  if (METADATA.has(address.toString())) return false
  const range = address.range()
  if (allowPrivate && PRIVATE_RANGES.has(range)) return true
  return range === 'unicast' && (address instanceof ipaddr.IPv4 || address.match(GLOBAL_UNICAST))
}

/** The address that the bytes end up at. */
function meant(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (address instanceof ipaddr.IPv4) return address
  if (address.isIPv4MappedAddress()) return address.toIPv4Address()
  if (address.match(NAT64)) return inside(address, NAT64_V4_AT)
  return address.range() === '6to4' ? inside(address, SIX_TO_FOUR_V4_AT) : address
}

const inside = (address: ipaddr.IPv6, at: number): ipaddr.IPv4 =>
  new ipaddr.IPv4(address.toByteArray().slice(at, at + 4))
