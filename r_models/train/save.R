# Shared by the example scripts. Run them from the repository root: Rscript r_models/train/boston.R

# A watcher must never see half a file, so both are written under another name and renamed; the sidecar first, so
# that the model is never seen without it.
save_model <- function(model, name, description, golden = NULL, output = NULL) {
  rename_into("yaml", name, function(file) writeLines(sidecar(description, golden, output), file, useBytes = TRUE))
  rename_into("rds", name, function(file) saveRDS(model, file, version = 3))
}

rename_into <- function(extension, name, write) {
  temporary <- file.path("r_models", paste0(".", name, "-", Sys.getpid(), ".", extension, ".part"))
  on.exit(unlink(temporary))
  write(temporary)
  if (!file.rename(temporary, file.path("r_models", paste0(name, ".", extension)))) stop("cannot write ", name)
}

# `golden` is a data frame of rows and `output` a list of what predict() answers for each.
sidecar <- function(description, golden, output) {
  lines <- paste("description:", description)
  if (is.null(golden)) return(lines)
  rows <- lapply(seq_len(nrow(golden)), function(k) {
    cells <- vapply(golden[k, ], yaml_value, "")
    c(
      paste0("  - row: {", paste0(names(golden), ": ", cells, collapse = ", "), "}"),
      paste0("    ", names(output), ": ", vapply(output, function(values) yaml_value(values[[k]]), ""))
    )
  })
  c(lines, "golden:", unlist(rows))
}

# The shortest digits that give the same number again.
yaml_value <- function(value) {
  if (!is.numeric(value)) return(paste0("\"", value, "\""))
  for (digits in 1:17) {
    text <- format(value, digits = digits)
    if (as.numeric(text) == value) return(text)
  }
}
