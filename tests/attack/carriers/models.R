# Saves models that attack, in each way in which a model of R runs code. Given: the folder, and the file with the code.
given <- commandArgs(TRUE)
folder <- given[[1]]
text <- readLines(given[[2]])
saved <- function(x, name) saveRDS(x, file.path(folder, paste0(name, ".rds")))
of <- function(name) call("eval", call("parse", text = c("local({", text, sprintf('say("%s")', name), "})")))

# Asked for a payload by its number, a function answers how it ended.
home <- new.env(parent = globalenv())
eval(parse(text = text), home)
attacks <- function(df) vapply(names(payloads)[df$x], outcome, "", USE.NAMES = FALSE)
environment(attacks) <- home
saved(attacks, "called")
writeLines(c("schema:", "  inputs:", "    - {name: x, type: integer}"), file.path(folder, "called.yaml"))

# An environment, whose binding is computed when it is first looked at, or each time
lazy <- structure(new.env(), class = "lm")
active <- structure(new.env(), class = "lm")
for (part in c("terms", "call", "model", "coefficients", "xlevels")) {
  eval(call("delayedAssign", part, of("environment"), globalenv(), lazy))
  eval(call("makeActiveBinding", part, call("function", NULL, of("binding")), active))
}
saved(lazy, "environment")
saved(active, "binding")

# A model that predicts well, whose formula computes its variables
m <- lm(dist ~ speed, cars)
attr(m$terms, "predvars") <- call("list", quote(dist), call("{", of("formula"), quote(speed)))
saved(m, "formula")

# Another, whose link is no function of R's
m <- glm(dist ~ speed, data = cars)
m$family$linkinv <- eval(call("function", formals(function(eta) NULL), call("{", of("family"), quote(eta))))
saved(m, "family")

# A value that is computed when it is first used (CVE-2024-27322), in the bytes of R's format: a promise is a kind of
# pair with its environment for a tag (here the global one), no value yet (the mark of unbound ones), and its code
code <- serialize(call("{", of("promise"), quote(lm(dist ~ speed, cars))), NULL, version = 2)
bytes <- c(code[1:14], as.raw(c(0, 0, 4, 5)), as.raw(c(0, 0, 0, 253)), as.raw(c(0, 0, 0, 252)), code[-(1:14)])
file <- gzfile(file.path(folder, "promise.rds"), "wb")
writeBin(bytes, file)
close(file)

home$made_package(file.path(folder, "library"), home$targets$key)
