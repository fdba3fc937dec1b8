# MASS::glm.nb.

negbin_rows <- function() {
  rows <- MASS::quine[rep_len(1:146, 400), c("Eth", "Sex", "Age", "Lrn")]
  rows$Eth[1:5] <- NA
  rows$Age[4:9] <- NA
  rows[10, ] <- NA
  rows$nights <- c(NA, 1e-300, 1e300, 0, 0.1 + 0.2, seq(0, 50, length.out = 395))
  rownames(rows) <- NULL
  rows
}

negbin_all <- list(
  response = function(model, rows) predict(model, rows, type = "response"),
  link = function(model, rows) predict(model, rows),
  se = function(model, rows) {
    prediction <- predict(model, rows, type = "response", se.fit = TRUE)
    data.frame(fit = prediction$fit, se = prediction$se.fit)
  },
  terms = function(model, rows) predict(model, rows, type = "terms")
)

case("negbin-quine", function() MASS::glm.nb(Days ~ Eth * Sex + Age, MASS::quine), negbin_rows, negbin_all)

case("negbin-offset", function() {
  data <- transform(MASS::quine, nights = rep_len(1:20, 146))
  MASS::glm.nb(Days ~ Sex + Lrn + offset(log1p(nights)), data, weights = nights, model = FALSE, x = TRUE)
}, negbin_rows, negbin_all)
