// Command bench measures pinfs beside the file system below it, a bare client of
// the store, and the peers that a user would pick, on the same objects, in one run.
//
//	bench [-rows REGEXP] [-repeat 3] [-size 1] [-json FILE] [-table FILE]   measures
//	bench -docs docs/performance.md -from FILE    writes the generated part of a page
//	bench -check bench/baseline.json              measures, compares ratios, exit 1 when worse
//	bench -list                                   names the rows
//
// # Words
//
//   - A contender is what is measured: ext4 (files on the same disk), bare
//     (aws-sdk-go-v2 with parallel ranges), pinfs, passthrough (pinfs with
//     --open=passthrough), rclone, s3fs. Of the peers, those that are installed
//     (integration/tools.sh install bench).
//   - A scenario is a data set, a way to reach the store, and stages that follow each
//     other in one fresh mount: cold, again, dropped. A stage of a scenario is a row.
//   - A sample is one stage, measured once, for one contender.
//
// # Rules
//
//   - Contenders take turns inside of each repeat of a scenario. A ratio is the median
//     of the ratios of each repeat, so that a machine whose speed drifts blurs it little.
//   - The readers are a process of their own (this program, called as "bench reader"):
//     its CPU is not that of the harness, and it alone has the clock.
//   - A guard allows what the baseline's own repeats differ by, if that is more than
//     -worse; a row whose repeats differ by more than half is not guarded.
//   - The lengths of what is read are checked while the clock runs, the contents once
//     for each contender and data set in a pass without a clock.
//   - The processes of a contender are found by a mark in their environment.
//   - Everything has a deadline; what a contender fails at is a note in its cell, not
//     the end of the run. What was started is stopped, also after Ctrl-C.
package main
