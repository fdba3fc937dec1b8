# What a model changes for all others of its process. `noted` is what there was when note_traces() was last called.

noted <- new.env(parent = emptyenv())

# `closely`: with what packages hold, which takes milliseconds.
note_traces <- function(closely = FALSE) {
  noted$held <- if (closely) held_by_packages()
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
traces_described <- function() {
  search_now <- search()
  attached <- setdiff(union(search_now, noted$search), intersect(search_now, noted$search))
  if (length(attached) == 0L && !identical(search_now, noted$search)) attached <- "in another order"
  c(
    changed_parts("the option ", as.list(.Options), as.list(noted$options)),
    changed_parts("the global variable ", global_variables(), noted$globals),
    sapply(paste0("the search path (", attached, ")", recycle0 = TRUE), function(name) NULL, simplify = FALSE),
    if (!is.null(noted$held)) changed_packages()
  )
}

# What each package holds under its own names, as a call of all of it. What lies on the disk is not read for that: it
# stands as the call that reads it, whether it was read or not. R itself writes into base.
held_by_packages <- function() {
  sapply(setdiff(loadedNamespaces(), "base"), function(package) {
    tryCatch(eval(names_held(package), asNamespace(package)), error = function(e) quote(c()))
  }, simplify = FALSE)
}

# Made once for each package: its namespace gets no other names. Those that R keeps there itself are not asked for.
names_held <- function(package) {
  found <- asking[[package]]
  if (is.null(found)) {
    names <- ls(asNamespace(package), all.names = TRUE, sorted = FALSE)
    found <- call("substitute", as.call(lapply(c("c", names[!startsWith(names, ".__")]), as.name)))
    assign(package, found, envir = asking)
  }
  found
}

asking <- new.env(parent = emptyenv())

changed_packages <- function() {
  now <- held_by_packages()
  unlist(lapply(names(now), function(package) {
    before <- noted$held[[package]]
    at <- if (is.null(before)) foreign(now[[package]], package) else differing(now[[package]], before)
    if (length(at) == 0L) return(NULL)
    texts <- lapply(at, function(i) {
      if (is.null(before)) paste(deparse(now[[package]][[i]], nlines = 50L), collapse = "\n")
    })
    names(texts) <- paste(own_names(package)[at], "of the package", package)
    texts
  }), recursive = FALSE)
}

own_names <- function(package) vapply(as.list(names_held(package)[[2L]]), as.character, "")

differing <- function(now, before) {
  if (identical(now, before)) return(integer())
  which(!vapply(seq_along(now), function(i) identical(now[i], before[i]), NA))
}

# What did not come with a package that was loaded meanwhile, and is no function of a package either, which many put
# there as they are loaded: values, and functions of others.
foreign <- function(held, package) {
  from_disk <- function(part) is.call(part) && identical(part[[1L]], quote(lazyLoadDBfetch))
  plain <- function(part) {
    if (is.function(part)) return(!isS4(part) && !is.primitive(part) && !isNamespace(topenv(environment(part))))
    (is.atomic(part) || is.list(part)) && !is.object(part)
  }
  file <- system.file("R", paste0(package, ".rdx"), package = package)
  if (!nzchar(file)) return(integer())
  own <- own_names(package) %in% names(readRDS(file)$variables)
  own[1L] <- FALSE
  which(own)[vapply(which(own), function(i) !from_disk(held[[i]]) && plain(held[[i]]), NA)]
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
