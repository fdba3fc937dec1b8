# lintr over the *.R files of the folders given, by the rules in .lintr; any finding fails.
lints <- unlist(
  lapply(commandArgs(trailingOnly = TRUE), lintr::lint_dir, pattern = "[.]R$", relative_path = FALSE),
  recursive = FALSE
)
for (lint in lints) print(lint)
if (length(lints) > 0L) quit(status = 1L)
