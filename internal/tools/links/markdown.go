package main

import (
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A document is what matters here of a Markdown file.
type document struct {
	links   []link
	anchors map[string]bool
}

type link struct {
	line      int
	target    string
	undefined bool // target is a reference, and nothing defines it
}

var (
	fencePattern    = regexp.MustCompile("^[ \t>]*(`{3,}|~{3,})([^`]*)$")
	headingPattern  = regexp.MustCompile(`^ {0,3}#{1,6}(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$`)
	underPattern    = regexp.MustCompile(`^ {0,3}(=+|-+)[ \t]*$`)
	definePattern   = regexp.MustCompile(`^ {0,3}\[([^\]^][^\]]*)\]:[ \t]*(\S+)`)
	codePattern     = regexp.MustCompile("(`+)")
	commentPattern  = regexp.MustCompile(`(?s)<!--.*?-->`)
	inlinePattern   = regexp.MustCompile(`\]\([ \t]*(<[^>\n]*>|(?:[^\s()<]|\([^\s()]*\))*)(?:[ \t]+(?:"[^"]*"|'[^']*'|\([^)]*\)))?[ \t]*\)`)
	referPattern    = regexp.MustCompile(`\[([^\[\]]+)\]\[([^\[\]]*)\]`)
	attributeLink   = regexp.MustCompile(`<[a-zA-Z][^<>]*?\s(?:href|src)=["']([^"']*)["']`)
	attributeAnchor = regexp.MustCompile(`<[a-zA-Z][^<>]*?\s(?:id|name)=["']([^"']*)["']`)
	textOfLink      = regexp.MustCompile(`!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])`)
	tagPattern      = regexp.MustCompile(`<[^<>]+>`)
)

// parse finds links and anchors by line. It knows less than a Markdown parser:
// a link whose target stands on another line than its text is one to it all the
// same, but blocks that are code only by their indent are text.
func parse(text string) *document {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = commentPattern.ReplaceAllStringFunc(text, func(s string) string {
		return strings.Repeat("\n", strings.Count(s, "\n"))
	})
	var (
		d       = &document{anchors: map[string]bool{}}
		defined = map[string]bool{}
		lines   = strings.Split(text, "\n")
		prose   []string // the lines with code blanked
		fence   string
	)
	for _, line := range lines {
		m := fencePattern.FindStringSubmatch(line)
		switch {
		case fence != "":
			if m != nil && strings.HasPrefix(m[1], fence) && strings.TrimSpace(m[2]) == "" {
				fence = ""
			}
			line = ""
		case m != nil:
			fence = m[1]
			line = ""
		}
		prose = append(prose, line)
	}
	d.findHeadings(prose)

	for i, line := range prose {
		prose[i] = blankCode(line)
		if m := definePattern.FindStringSubmatch(prose[i]); m != nil {
			defined[label(m[1])] = true
			d.links = append(d.links, link{line: i + 1, target: strings.Trim(m[2], "<>")})
			prose[i] = ""
		}
	}
	for i, line := range prose {
		for _, m := range attributeAnchor.FindAllStringSubmatch(line, -1) {
			d.anchors[m[1]] = true
		}
		for _, m := range attributeLink.FindAllStringSubmatch(line, -1) {
			d.links = append(d.links, link{line: i + 1, target: html.UnescapeString(m[1])})
		}
		for _, m := range inlinePattern.FindAllStringSubmatch(line, -1) {
			d.links = append(d.links, link{line: i + 1, target: strings.Trim(m[1], "<>")})
		}
		for _, m := range referPattern.FindAllStringSubmatch(line, -1) {
			name := m[2]
			if name == "" {
				name = m[1]
			}
			if !defined[label(name)] {
				d.links = append(d.links, link{line: i + 1, target: m[0], undefined: true})
			}
		}
	}
	return d
}

func (d *document) findHeadings(lines []string) {
	count := map[string]int{}
	for i, line := range lines {
		var title string
		if m := headingPattern.FindStringSubmatch(line); m != nil {
			title = m[1]
		} else if i > 0 && underPattern.MatchString(line) && isText(lines[i-1]) {
			title = lines[i-1]
		} else {
			continue
		}
		name := slug(title)
		n := count[name]
		count[name]++
		if n > 0 {
			name += "-" + strconv.Itoa(n)
		}
		d.anchors[name] = true
	}
}

// isText reports whether a line of dashes below line makes it a heading.
func isText(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, ">")
}

// slug returns the anchor that GitHub makes of a heading.
func slug(title string) string {
	title = textOfLink.ReplaceAllString(strings.TrimSpace(title), "$1")
	if !strings.Contains(title, "`") {
		title = tagPattern.ReplaceAllString(title, "")
	}
	var b strings.Builder
	for _, r := range strings.ToLower(html.UnescapeString(title)) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// label returns the form of a reference in which labels are compared.
func label(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// blankCode replaces the code spans of a line by spaces.
func blankCode(line string) string {
	for from := 0; ; {
		open := codePattern.FindStringIndex(line[from:])
		if open == nil {
			return line
		}
		begin, end := from+open[0], from+open[1]
		ticks := line[begin:end]
		closing := -1
		for _, at := range codePattern.FindAllStringIndex(line[end:], -1) {
			if at[1]-at[0] == len(ticks) {
				closing = end + at[1]
				break
			}
		}
		if closing < 0 {
			from = end
			continue
		}
		line = line[:begin] + strings.Repeat(" ", closing-begin) + line[closing:]
		from = closing
	}
}
