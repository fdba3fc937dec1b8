# Package bundle: a model that saveRDS() cannot keep by itself, together with a way to make it again. The model within
# is served.

make_ready.bundle <- function(model, packages) {
  for (package in c("bundle", packages)) load_package(package)
  within <- tryCatch(unbundled(model), error = function(e) {
    stop(tandem_condition("unreadable", paste0(
      "bundle::unbundle() cannot make the model within again: ", conditionMessage(e), "; if a package is missing, ",
      "install it and name it in the sidecar: packages: [...]"
    )))
  })
  make_ready(within, packages)
}

unbundled <- function(model) getExportedValue("bundle", "unbundle")(model)
