package conformance

import (
	"encoding/json"
	"strconv"
	"strings"
)

// What to_string/1 makes of values that came as params of a URL or as JSON.

// textOf returns the string of a value that was decoded with UseNumber; false if
// to_string/1 raises.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return numberText(v.String())
	case []any:
		return listText(v)
	}
	return "", false
}

// numberText returns a number as Elixir writes it.
func numberText(s string) (string, bool) {
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			s = "0"
		}
		return s, true
	}
	f, err := strconv.ParseFloat(s, 64)
	return floatText(f), err == nil
}

// floatText returns the shorter one of 1000.0 and 1.0e3, or the first of two that
// are as long.
func floatText(f float64) string {
	plain := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(plain, ".") {
		plain += ".0"
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	n, err := strconv.Atoi(exponent)
	if short := digits + "e" + strconv.Itoa(n); err == nil && len(short) < len(plain) {
		return short
	}
	return plain
}

// listText returns the string of a list of strings, characters and such lists.
func listText(list []any) (string, bool) {
	var b strings.Builder
	for _, v := range list {
		switch v := v.(type) {
		case string:
			b.WriteString(v)
		case json.Number:
			c, err := strconv.ParseUint(v.String(), 10, 32)
			if err != nil || c > 0x10ffff || 0xd800 <= c && c < 0xe000 {
				return "", false
			}
			b.WriteRune(rune(c))
		case []any:
			s, ok := listText(v)
			if !ok {
				return "", false
			}
			b.WriteString(s)
		default:
			return "", false
		}
	}
	return b.String(), true
}
