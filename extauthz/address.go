package extauthz

import (
	"net/netip"
	"slices"
	"strings"
)

// caller returns the address that CIDRs are compared with: Envoy's peer, or the entry of x-forwarded-for at the trusted
// depth, counted from the right (R-CRED-7). The zero Addr, which no range contains, where there is none.
func caller(r *Request, trustedHops int) netip.Addr {
	text := r.Source
	if trustedHops > 0 {
		text = forwarded(r.Headers, trustedHops)
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// forwarded returns the n-th entry from the right of x-forwarded-for, whose lines are one list; "" where there are fewer.
func forwarded(headers []Header, n int) string {
	for _, h := range slices.Backward(headers) {
		if !equalFold(h.Name, "x-forwarded-for") {
			continue
		}
		for list := h.Value; ; n-- {
			comma := strings.LastIndexByte(list, ',')
			if n == 1 {
				return strings.Trim(list[comma+1:], " \t")
			}
			if comma < 0 {
				break
			}
			list = list[:comma]
		}
		n--
	}
	return ""
}

// within reports whether an address is in one of the ranges; nil ranges hold every address, and none.
func within(ranges []netip.Prefix, address netip.Addr) bool {
	if ranges == nil {
		return true
	}
	for _, r := range ranges {
		if r.Contains(address) {
			return true
		}
	}
	return false
}

// unmapped returns ranges with IPv4 addresses in their own form, as caller gives them; nil for none.
func unmapped(ranges []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range ranges {
		if r.Addr().Is4In6() && r.Bits() >= 96 {
			r = netip.PrefixFrom(r.Addr().Unmap(), r.Bits()-96)
		}
		out = append(out, r)
	}
	return out
}
