// Command cel_functions writes src/cel/check/functions.txt: the functions that rules of custom kinds
// can call, with the types that they take. In a module that requires k8s.io/apiserver v0.36.0
// (Apache-2.0), as main.go:
//
//	go run . > …/src/cel/check/functions.txt
package main

import (
	"fmt"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
)

var short = strings.NewReplacer("google.protobuf.Duration", "duration",
	"google.protobuf.Timestamp", "timestamp", "<", "", ">", "", " ", "")

func main() {
	env := environment.MustBaseEnvSet(version.MajorMinor(1, 36)).StoredExpressionsEnv()
	var lines []string
	for name, function := range env.Functions() {
		line := name
		for _, overload := range function.OverloadDecls() {
			var takes []string
			for _, kind := range overload.ArgTypes() {
				takes = append(takes, short.Replace(kind.String()))
			}
			target := ""
			if overload.IsMemberFunction() {
				target, takes = takes[0]+".", takes[1:]
			}
			gives := short.Replace(overload.ResultType().String())
			line += fmt.Sprintf(" %s(%s)->%s", target, strings.Join(takes, ","), gives)
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	fmt.Println("# What expressions can call: a line is a function, and its overloads, each of the types it takes")
	fmt.Println("# (a method's first is before the dot) and what it gives. Letters are types of any kind. Made by")
	fmt.Println("# testdata/cel_functions.go from k8s.io/apiserver v0.36.0, pkg/cel/environment.")
	fmt.Println(strings.Join(lines, "\n"))
}
