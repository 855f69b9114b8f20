package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// connecting marks the flags that say where and how to connect. They are the same for
// every command, so its own come first in its help.
const connecting = "connecting"

// mark marks flags that were added to a set since before.
func mark(set *pflag.FlagSet, before map[string]bool) {
	set.VisitAll(func(f *pflag.Flag) {
		if !before[f.Name] {
			_ = set.SetAnnotation(f.Name, connecting, []string{"true"}) // the flag is there
		}
	})
}

// names returns the names of the flags of a set.
func names(set *pflag.FlagSet) map[string]bool {
	all := make(map[string]bool)
	set.VisitAll(func(f *pflag.Flag) { all[f.Name] = true })
	return all
}

// helpWidth is how wide the help is: a terminal of 100 columns shows it as it is.
const helpWidth = 100

// flagsOf describes the marked flags of a command, or the others.
func flagsOf(cmd *cobra.Command, marked bool) string {
	part := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, is := f.Annotations[connecting]; is == marked {
			part.AddFlag(f)
		}
	})
	return strings.TrimRight(part.FlagUsagesWrapped(helpWidth), "\n")
}

// usageOf is the part of a command's help that says how to call it.
func usageOf(cmd *cobra.Command) string {
	var b strings.Builder
	section := func(title, text string) {
		if text != "" {
			b.WriteString("\n" + title + ":\n" + text + "\n")
		}
	}
	var lines []string
	if cmd.Runnable() && cmd.HasParent() {
		lines = append(lines, "  "+cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		lines = append(lines, "  "+cmd.CommandPath()+" COMMAND [flags]")
	}
	b.WriteString("Usage:\n" + strings.Join(lines, "\n") + "\n")
	section("Examples", cmd.Example)
	var commands []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			commands = append(commands, "  "+sub.Name()+strings.Repeat(" ", max(cmd.NamePadding()-len(sub.Name()), 0))+"  "+sub.Short)
		}
	}
	section("Commands", strings.Join(commands, "\n"))
	section("Flags", flagsOf(cmd, false))
	section("Where and how to connect", flagsOf(cmd, true))
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n\"" + cmd.CommandPath() + " COMMAND --help\" says more about a command.\n")
	}
	return b.String()
}
