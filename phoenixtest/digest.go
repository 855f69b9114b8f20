package phoenixtest

import (
	"fmt"
	"strconv"
	"strings"
)

// digest checks a valid JSON text for what Phoenix's decoder (Jason) does not
// take although encoding/json does: escapes of half a character, and numbers
// that no double holds. A frame with one of them makes the server close with
// 1011.
func digest(s string) error {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"':
			end, ok := digestString(s, i+1)
			if !ok {
				return fmt.Errorf("%w: an unpaired surrogate", errMalformed)
			}
			i = end
		case c == '-' || '0' <= c && c <= '9':
			end, _ := skipNumber(s, i) // it is valid
			if number := s[i:end]; strings.ContainsAny(number, ".eE") {
				if _, err := strconv.ParseFloat(number, 64); err != nil {
					return fmt.Errorf("%w: a number beyond a double", errMalformed)
				}
			}
			i = end
		default:
			i++
		}
	}
	return nil
}

// digestString returns where a string that begins before i ends.
func digestString(s string, i int) (end int, ok bool) {
	// Most have no escapes, and long ones take a while byte by byte.
	if quote := i + strings.IndexByte(s[i:], '"'); strings.IndexByte(s[i:quote], '\\') < 0 {
		return quote + 1, true
	}
	for s[i] != '"' {
		if s[i] != '\\' {
			i++
			continue
		}
		unit, isUnit := codeUnit(s[i:])
		switch {
		case !isUnit:
			i += 2
		case unit < 0xd800 || unit > 0xdfff:
			i += 6
		default:
			low, paired := codeUnit(s[i+6:])
			if !paired || unit > 0xdbff || low < 0xdc00 || low > 0xdfff {
				return i, false
			}
			i += 12
		}
	}
	return i + 1, true
}

// codeUnit returns the value of an escape \uXXXX at the start of s.
func codeUnit(s string) (unit uint64, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(s[2:6], 16, 32)
	return unit, err == nil
}
