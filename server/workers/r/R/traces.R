# What a model changes for all others of its process. `noted` is what there was when note_traces() was last called.

noted <- new.env(parent = emptyenv())

note_traces <- function() {
  noted$options <- copied_options()
  noted$search <- search()
  noted$globals <- global_variables()
  noted$size <- length(globalenv())
  noted$random <- random_state()
  invisible()
}

# Each model that draws random numbers or sets their seed or kind has its own from then on; all others go on with those
# that were noted.
drawing <- new.env(parent = emptyenv())

keep_random_state <- function(key) {
  assign(key, random_state(), envir = drawing)
  restore_random_state(noted$random)
  invisible()
}

take_random_state <- function(key) {
  restore_random_state(get(key, envir = drawing))
  invisible()
}

# A copy of the list itself: options() writes into the one that there is.
copied_options <- function() {
  options <- .Options
  copy <- as.pairlist(as.list(options))
  names(copy) <- names(options)
  copy
}

global_variables <- function() {
  variables <- as.list(globalenv(), all.names = TRUE)
  variables[setdiff(names(variables), ".Random.seed")]
}

# Asked after each call, so it does no more than compare a few pointers where nothing has changed: 0 if so, 1 where only
# random numbers were drawn or set, 2 for anything else. A model cannot change a variable that is not there, and only
# the random numbers are.
traces_found <- function() {
  if (!identical(.Options, noted$options) || !identical(search(), noted$search)) return(2L)
  if (length(globalenv()) != noted$size) return(2L)
  if (identical(globalenv()$.Random.seed, noted$random)) 0L else 1L
}

# In words: named list of the text of what is new, or NULL where something was changed or removed.
traces_told <- function() {
  search_now <- search()
  attached <- setdiff(union(search_now, noted$search), intersect(search_now, noted$search))
  if (length(attached) == 0L && !identical(search_now, noted$search)) attached <- "in another order"
  c(
    changed_parts("the option ", as.list(.Options), as.list(noted$options)),
    changed_parts("the global variable ", global_variables(), noted$globals),
    sapply(paste0("the search path (", attached, ")", recycle0 = TRUE), function(name) NULL, simplify = FALSE)
  )
}

changed_parts <- function(what, now, before) {
  names <- Filter(function(name) !identical(now[[name]], before[[name]]), union(names(now), names(before)))
  parts <- lapply(names, function(name) {
    if (is.null(before[[name]])) paste(deparse(now[[name]], nlines = 50L), collapse = "\n")
  })
  names(parts) <- paste0(what, names, recycle0 = TRUE)
  parts
}

loaded_packages <- function() loadedNamespaces()

load_packages <- function(packages) {
  for (package in packages) try(suppressWarnings(suppressMessages(loadNamespace(package))), silent = TRUE)
  invisible()
}
