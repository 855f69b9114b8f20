package errs

import (
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// This file finds secrets in a text. Its cost is bounded, however long the text is
// and whatever it holds: a hostile server chooses it.

const (
	// maxRedact is how many bytes of a text are looked at. The middle of a longer
	// one is cut out: whoever shows it shows less than that.
	maxRedact = 32 << 10
	// maxUnescape is how often a text is unescaped: it may be escaped several times.
	maxUnescape = 3
)

// bearer is a subprotocol that carries an auth token, however short that is.
var bearer = regexp.MustCompile(`(?i)` + regexp.QuoteMeta(AuthTokenPrefix) + `[A-Za-z0-9+/=_%-]*`)

// Redact returns text without the secrets in it.
func (s *Secrets) Redact(text string) string {
	if s == nil || len(text) < minSecret {
		return text
	}
	text = cutMiddle(text, maxRedact)
	return conceal(text, s.hidden(text))
}

// cutMiddle cuts the middle out of a text that is longer than a limit.
func cutMiddle(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return text[:limit/2] + "…\n" + text[len(text)-limit/2:]
}

// redactLines does the same with several texts at once, of one line each. Together
// they are as long as one text may be.
func (s *Secrets) redactLines(lines []string) []string {
	if s == nil {
		return lines
	}
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if size > maxRedact {
		lines = slices.Clone(lines)
		for i, line := range lines {
			lines[i] = cutMiddle(line, maxRedact/len(lines))
		}
	}
	text := strings.Join(lines, "\n")
	hide := s.hidden(text)
	if hide == nil {
		return lines
	}
	out := make([]string, len(lines))
	at := 0
	for i, line := range lines {
		out[i] = conceal(line, hide[at:at+len(line)])
		at += len(line) + 1
	}
	return out
}

// conceal puts a mark in the place of what is to be hidden.
func conceal(text string, hide []bool) string {
	if hide == nil {
		return text
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !hide[i]:
			out.WriteByte(text[i])
		case i == 0 || !hide[i-1]:
			out.WriteString(Redacted)
		}
	}
	return out.String()
}

// hidden returns which bytes of a text belong to a secret; nil: none.
func (s *Secrets) hidden(text string) []bool {
	var hide []bool
	mark := func(from, to int) {
		if hide == nil {
			hide = make([]bool, len(text))
		}
		for i := from; i < to; i++ {
			hide[i] = true
		}
	}
	for _, at := range bearer.FindAllStringIndex(text, -1) {
		mark(at[0], at[1])
	}
	v := &view{text: fold(text), mark: mark, begins: &beginnings{}}
	s.search(v, false)
	s.search(v.squeezed(), true)
	for range maxUnescape {
		if v = v.unescaped(); v == nil {
			break
		}
		s.search(v, false)
		s.search(v.squeezed(), true)
	}
	return hide
}

// search marks the secrets in a view of a text; of one that is squeezed only the
// long parts, since blanks keep short words apart.
func (s *Secrets) search(v *view, squeezed bool) {
	if v == nil {
		return
	}
	v.index()
	for _, secret := range s.values {
		if len(secret.value) < minSecret {
			continue
		}
		for _, form := range secret.allForms() {
			if squeezed {
				form = squeeze(form)
			}
			s.find(form, v, squeezed)
		}
	}
}

// find marks where a form of a secret stands in a view.
func (s *Secrets) find(form string, v *view, squeezed bool) {
	if len(form) < minSecret || s.shown.has(form) {
		return
	}
	for i := 0; len(v.at) > 0 && i+partSecret <= len(form); i++ {
		part := form[i : i+partSecret]
		if at, ok := v.first(part); ok && !s.shown.has(part) {
			for ; at >= 0; at = int(v.next[at]) {
				v.hide(at, partSecret)
			}
			delete(v.at, part) // is marked
		}
	}
	if squeezed {
		return
	}
	if len(form) < partSecret {
		for at := 0; ; {
			i := strings.Index(v.text[at:], form)
			if i < 0 {
				break
			}
			v.hide(at+i, len(form))
			at += i + len(form)
		}
	}
	for n := min(partSecret, len(form)) - 1; n >= cutSecret; n-- {
		if at := v.tails[form[:n]]; len(at) > 0 {
			for _, from := range at {
				v.hide(from, n)
			}
			return
		}
	}
}

// A view is a text in another spelling, which knows where each byte comes from.
type view struct {
	text string
	from []int32 // where each byte of text begins in the original; nil: at the same place
	to   []int32 // and where it ends
	mark func(from, to int)

	begins *beginnings      // of parts
	at     map[string]int32 // where a part stands last
	next   []int32          // where the same part stands before that; -1: nowhere
	tails  map[string][]int // the ends of lines, which were perhaps cut
}

// beginnings are the two bytes with which parts begin: most parts that are looked
// for are not there, which they tell sooner than a map.
type beginnings [1 << 16 / 64]uint64

// hide marks n bytes in the original.
func (v *view) hide(at, n int) {
	if v.from == nil {
		v.mark(at, at+n)
		return
	}
	v.mark(int(v.from[at]), int(v.to[at+n-1]))
}

// index finds where each part of the text stands.
func (v *view) index() {
	*v.begins = beginnings{}
	n := max(0, len(v.text)-partSecret+1)
	v.at, v.next = make(map[string]int32, n), make([]int32, n)
	for i := range n {
		part := v.text[i : i+partSecret]
		word, bit := begin(part)
		v.begins[word] |= bit
		last, ok := v.at[part]
		if !ok {
			last = -1
		}
		v.next[i] = last
		v.at[part] = int32(i)
	}
	v.tails = map[string][]int{}
	for end := 0; end <= len(v.text); end++ {
		if end < len(v.text) && v.text[end] != '\n' {
			continue
		}
		for n := cutSecret; n < partSecret && n <= end; n++ {
			tail := v.text[end-n : end]
			v.tails[tail] = append(v.tails[tail], end-n)
		}
	}
}

func begin(part string) (word int, bit uint64) {
	n := uint(part[0])<<8 | uint(part[1])
	return int(n / 64), 1 << (n % 64)
}

func (v *view) first(part string) (int, bool) {
	if word, bit := begin(part); v.begins[word]&bit == 0 {
		return 0, false
	}
	at, ok := v.at[part]
	return int(at), ok
}

// rewrite returns the view that next makes of this one: it takes what a text begins
// with, and returns what that stands for, and how long it was. Nil: nothing has
// changed.
func (v *view) rewrite(next func(rest string) (out string, n int)) *view {
	var text strings.Builder
	w := &view{mark: v.mark, begins: v.begins}
	changed := false
	for i := 0; i < len(v.text); {
		out, n := next(v.text[i:])
		if n == 0 {
			out, n = v.text[i:i+1], 1
		} else {
			changed = true
		}
		from, to := int32(i), int32(i+n) //nolint:gosec // the length of a text is bounded
		if v.from != nil {
			from, to = v.from[i], v.to[i+n-1]
		}
		for range len(out) {
			w.from, w.to = append(w.from, from), append(w.to, to)
		}
		text.WriteString(out)
		i += n
	}
	if !changed {
		return nil
	}
	w.text = fold(text.String())
	return w
}

func isBlank[C byte | rune](c C) bool { return c <= ' ' || c == 0x7f }

// squeezed returns the view without blanks and control characters, which may stand
// in the middle of a secret, as line breaks do in base64.
func (v *view) squeezed() *view {
	return v.rewrite(func(rest string) (string, int) {
		n := 0
		for n < len(rest) && isBlank(rest[n]) {
			n++
		}
		return "", n
	})
}

func squeeze(form string) string {
	return strings.Map(func(r rune) rune {
		if isBlank(r) {
			return -1
		}
		return r
	}, form)
}

// unescaped returns the view with one layer of escapes taken off: those of URLs, of
// HTML, and of strings in JSON and most languages.
func (v *view) unescaped() *view {
	return v.rewrite(func(rest string) (string, int) {
		switch rest[0] {
		case '%':
			return unescapeHex(rest, 1, 2)
		case '&':
			if end := strings.IndexByte(rest[:min(len(rest), 12)], ';'); end > 0 {
				if out := html.UnescapeString(rest[:end+1]); out != rest[:end+1] {
					return out, end + 1
				}
			}
		case '\\':
			return unescapeBackslash(rest)
		}
		return "", 0
	})
}

func unescapeBackslash(rest string) (string, int) {
	if len(rest) < 2 {
		return "", 0
	}
	switch rest[1] {
	case 'x':
		return unescapeHex(rest, 2, 2)
	case 'u':
		if len(rest) > 2 && rest[2] == '{' { // of Elixir and JavaScript
			if end := strings.IndexByte(rest[:min(len(rest), 10)], '}'); end > 3 {
				return runeOf(rest[3:end], end+1)
			}
			return "", 0
		}
		if len(rest) >= 6 {
			return runeOf(rest[2:6], 6)
		}
		return "", 0
	case 'n', 'r', 't', 'b', 'f', 'v', 'a':
		return " ", 2 // whichever: nobody tells control characters apart
	}
	if '!' <= rest[1] && rest[1] <= '~' {
		return rest[1:2], 2
	}
	return "", 0
}

// unescapeHex returns the byte whose hexadecimal digits begin at a place.
func unescapeHex(rest string, at, digits int) (string, int) {
	if len(rest) < at+digits {
		return "", 0
	}
	c, err := strconv.ParseUint(rest[at:at+digits], 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(c)}), at + digits
}

func runeOf(digits string, n int) (string, int) {
	r, err := strconv.ParseUint(digits, 16, 21)
	if err != nil {
		return "", 0
	}
	return string(rune(r)), n
}
