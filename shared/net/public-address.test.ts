import { describe, expect, test } from 'vitest'
import { mayConnect } from './public-address.ts'

describe('a tenant may have us connect to', () => {
  test.for<[what: string, ip: string]>([
    ['a public address', '93.184.215.14'],
    ['a public IPv6 address', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'],
    ['a public address, mapped into IPv6', '::ffff:93.184.215.14'],
    ['a public address behind NAT64', '64:ff9b::5db8:d70e'],
    ['a public address behind 6to4', '2002:5db8:d70e::1'],
  ])('%s: %s', ([, ip]) => {
    expect(mayConnect(ip, false)).toBe(true)
  })
})

describe('a tenant may not have us connect to', () => {
  test.for<[what: string, ip: string]>([
    ['this machine', '127.0.0.1'],
    ['this machine by another name', '127.255.255.254'],
    ['this machine over IPv6', '::1'],
    ['this machine, mapped', '::ffff:127.0.0.1'],
    ['this machine, mapped and in hexadecimal', '::ffff:7f00:1'],
    ['this machine, compatible (RFC 4291, given up)', '::127.0.0.1'],
    ['this machine, translated (RFC 6145)', '::ffff:0:127.0.0.1'],
    ['this machine behind NAT64', '64:ff9b::7f00:1'],
    ['this machine behind 6to4', '2002:7f00:1::'],
    ['any address of this machine', '0.0.0.0'],
    ['any IPv6 address of this machine', '::'],
    ['a private network', '10.0.0.1'],
    ['a private network, too', '172.16.0.1'],
    ['a private network at home', '192.168.1.1'],
    ['a private network behind NAT64', '64:ff9b::a00:1'],
    ['a NAT64 of its own network (RFC 8215)', '64:ff9b:1::5db8:d70e'],
    ['a private IPv6 network', 'fd12:3456:789a::1'],
    ['a site-local IPv6 address', 'fec0::1'],
    ['a network behind the carrier’s NAT', '100.64.0.1'],
    ['the metadata of a cloud', '169.254.169.254'],
    ['the metadata of a cloud, mapped', '::ffff:a9fe:a9fe'],
    ['the metadata of a cloud behind NAT64', '64:ff9b::a9fe:a9fe'],
    ['the metadata of a cloud behind 6to4', '2002:a9fe:a9fe::1'],
    ['the metadata of Google over IPv6', 'fd20:ce::254'],
    ['the metadata of AWS over IPv6', 'fd00:ec2::254'],
    ['the metadata of Alibaba', '100.100.100.200'],
    ['the metadata of Oracle', '192.0.0.192'],
    ['the wire server of Azure', '168.63.129.16'],
    ['a link-local IPv6 address', 'fe80::1'],
    ['a network card of ours', 'fe80::1%eth0'],
    ['a public address by a network card of ours', '2606:2800:21f:cb07::1%eth0'],
    ['everybody near', '255.255.255.255'],
    ['a group', '224.0.0.1'],
    ['an IPv6 group', 'ff02::1'],
    ['an address of documents', '192.0.2.1'],
    ['an IPv6 address of documents', '2001:db8::1'],
    ['Teredo', '2001:0:53aa:64c::1'],
    ['what was never handed out', '4000::1'],
    ['a name', 'localhost'],
    ['nothing', ''],
  ])('%s: %s', ([, ip]) => {
    expect(mayConnect(ip, false)).toBe(false)
  })
})

describe('where private addresses are allowed', () => {
  test.for(['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.0.0.1', '192.168.1.1', 'fd12::1', '100.64.0.1'])(
    '%s is one of them',
    (ip) => {
      expect(mayConnect(ip, true)).toBe(true)
    },
  )

  test.for([
    '169.254.169.254',
    'fd20:ce::254',
    'fd00:ec2::254',
    '100.100.100.200',
    '64:ff9b::a9fe:a9fe',
    'fe80::1',
    '0.0.0.0',
    '::',
    '224.0.0.1',
    '168.63.129.16',
  ])('%s is closed all the same', (ip) => {
    expect(mayConnect(ip, true)).toBe(false)
  })
})
