// Package report has the result of a load test: a [Report], which can be printed
// ([Report.WriteText]), stored ([Report.WriteJSON], [Read]), merged with those of
// other machines ([Merge]), shown in a browser ([Report.WriteHTML]) and checked
// against limits ([ParseThreshold]).
//
// It does not run anything: package load does, and has aliases for the names that
// its users need most.
package report
