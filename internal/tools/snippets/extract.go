package main

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A block is a fenced Go block of a Markdown file.
type block struct {
	file string
	line int // of its first line of code
	code string

	skip    string // why it is not checked; "" if it is
	prelude string // the name of its prelude; "" for none
	after   *block // what it continues, or nil
	module  string // the directory of a nested module; "" for the module itself
}

var (
	fencePattern     = regexp.MustCompile("^([ \t]*)(`{3,}|~{3,})[ \t]*([^`]*)$")
	directivePattern = regexp.MustCompile(`^[ \t]*<!--[ \t]*snippet:[ \t]*(.*?)[ \t]*-->[ \t]*$`)
)

// extract returns the Go blocks of a Markdown text, and what is wrong with the
// directives above them.
func extract(file, text string) (blocks []*block, problems []problem) {
	var (
		lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
		above []directive // on the lines directly above the current one
	)
	bad := func(line int, text string) {
		problems = append(problems, problem{file, line, text})
	}
	for i := 0; i < len(lines); i++ {
		if m := directivePattern.FindStringSubmatch(lines[i]); m != nil {
			word, rest, _ := strings.Cut(m[1], " ")
			above = append(above, directive{i + 1, word, strings.TrimSpace(rest)})
			continue
		}
		m := fencePattern.FindStringSubmatch(lines[i])
		if m == nil {
			if strings.Contains(lines[i], "<!-- snippet:") {
				bad(i+1, "a snippet directive has to be the only thing on its line")
			}
			for _, d := range above {
				bad(d.line, "a snippet directive has to stand directly above a Go block")
			}
			above = nil
			continue
		}
		directives := above
		above = nil
		indent, fence := m[1], m[2]
		language, _, _ := strings.Cut(strings.TrimSpace(m[3]), " ")
		first := i + 1
		var code []string
		for i++; i < len(lines) && !closes(lines[i], fence); i++ {
			code = append(code, trimIndent(lines[i], indent))
		}
		if i == len(lines) {
			bad(first, "this block is never closed")
		}
		if language != "go" {
			for _, d := range directives {
				bad(d.line, "a snippet directive has to stand directly above a Go block")
			}
			continue
		}
		b := &block{file: file, line: first + 1, code: strings.Join(code, "\n")}
		for _, d := range directives {
			if text := b.apply(d, blocks); text != "" {
				bad(d.line, text)
			}
		}
		blocks = append(blocks, b)
	}
	for _, d := range above {
		bad(d.line, "a snippet directive has to stand directly above a Go block")
	}
	return blocks, problems
}

// A directive is what an HTML comment says about the block below it.
type directive struct {
	line       int
	word, rest string
}

// apply sets what d says, and returns what is wrong with it, or "".
func (b *block) apply(d directive, before []*block) string {
	switch d.word {
	case "skip":
		if d.rest == "" {
			return "snippet: skip needs a reason"
		}
		b.skip = d.rest
	case "prelude":
		if _, ok := preludes()[d.rest]; !ok {
			return "no prelude " + strconv.Quote(d.rest) + ": there are " + preludeNames()
		}
		b.prelude = d.rest
	case "module":
		if !filepath.IsLocal(filepath.FromSlash(d.rest)) {
			return "snippet: module needs a directory below that of the module"
		}
		b.module = d.rest
	case "continue":
		if d.rest != "" {
			return "snippet: continue takes nothing"
		}
		if len(before) == 0 {
			return "there is no block to continue"
		}
		last := before[len(before)-1]
		if last.skip != "" {
			return "the block to continue is skipped"
		}
		b.after = last
		b.module = last.module
	default:
		return "no snippet directive " + strconv.Quote(d.word) + ": there are skip, prelude, continue, module"
	}
	return ""
}

// closes reports whether line ends a block that fence began.
func closes(line, fence string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= len(fence) && strings.Trim(line, fence[:1]) == ""
}

// trimIndent removes from line what it shares with the indent of the fence.
func trimIndent(line, indent string) string {
	n := 0
	for n < len(line) && n < len(indent) && (line[n] == ' ' || line[n] == '\t') {
		n++
	}
	return line[n:]
}
