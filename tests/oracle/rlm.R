# M and MM estimates, weights.

rlm_rows <- function() {
  set.seed(15)
  rows <- MASS::Boston[rep_len(1:506, 600), c("rm", "lstat", "rad", "tax")]
  rows$rm <- rows$rm * runif(600, 0.2, 3)
  rows$rm[1:4] <- NA
  rows$lstat[4:8] <- NA
  rows$rm[9:12] <- c(1e300, -1e-300, 0, 1 / 3)
  rows[13, ] <- NA
  rownames(rows) <- NULL
  rows
}

rlm_response <- function(model, rows) predict(model, rows)
rlm_se <- function(model, rows) {
  prediction <- predict(model, rows, se.fit = TRUE)
  data.frame(fit = prediction$fit, se = prediction$se.fit)
}
rlm_interval <- function(interval, level) {
  function(model, rows) predict(model, rows, interval = interval, level = level)
}
rlm_terms <- function(model, rows) predict(model, rows, type = "terms")

case("rlm-huber", function() MASS::rlm(medv ~ rm * lstat + factor(rad), MASS::Boston), rlm_rows, list(
  response = rlm_response, se = rlm_se, confidence = rlm_interval("confidence", 0.9),
  prediction = rlm_interval("prediction", 0.9), terms = rlm_terms
), options = list(level = 0.9))

case("rlm-mm", function() {
  MASS::rlm(log(medv) ~ rm + log(lstat), MASS::Boston, method = "MM", model = FALSE)
}, rlm_rows, list(
  response = rlm_response, se = rlm_se, prediction = rlm_interval("prediction", 0.95), terms = rlm_terms
))

case("rlm-weighted", function() {
  MASS::rlm(medv ~ rm + offset(tax / 100), MASS::Boston, weights = 1 / tax, psi = MASS::psi.bisquare)
}, rlm_rows, list(response = rlm_response, se = rlm_se, terms = rlm_terms))
