# The standard errors are on the scale of the response, beside the fit.

gam_rows <- function() {
  n <- 240
  rows <- data.frame(
    x = sin(1:n * 1.7), z = (1:n %% 37) / 37, f = factor(c("a", "b", "c")[1:n %% 3 + 1], c("a", "b", "c")),
    text = c("u", "v")[1:n %% 2 + 1], yes = 1:n %% 5 < 2, count = as.numeric(1:n %% 4)
  )
  rows$f[1:230 %% 3 == 0] <- "b"
  rows
}

gam_data <- function() {
  rows <- gam_rows()
  rows$y <- sin(3 * rows$x) + rows$z * as.integer(rows$f) + 0.3 * rows$yes + cos(7 * seq_len(nrow(rows)))
  rows$hit <- as.integer(rows$y > 1)
  rows$grade <- as.integer(cut(rows$y, c(-Inf, 0, 1.5, Inf)))
  rows
}

gam_sent <- function() {
  rows <- gam_rows()
  rows$x[1:4] <- c(NA, -50, 50, 0)
  rows$z[5:6] <- c(NA, 1e3)
  rows$f[7] <- NA
  rows$text[8] <- NA
  rows$yes[9] <- NA
  rows[10, ] <- NA
  rows
}

gam_type <- function(type) {
  force(type)
  function(model, rows) predict(model, rows, type = type)
}

# Of a row in which something is missing, alone, predict() names no terms and gives one NA for all categories.
gam_terms <- function(model, rows) {
  answer <- predict(model, rows, type = "terms")
  colnames(answer) <- colnames(predict(model, gam_rows()[1, ], type = "terms"))
  answer
}

gam_columns <- function(columns) {
  force(columns)
  function(model, rows) matrix(predict(model, rows, type = "response"), nrow(rows), columns)
}

gam_se <- function(type, columns = 1) {
  force(type)
  force(columns)
  function(model, rows) {
    answer <- predict(model, rows, type = type, se.fit = TRUE)
    parts <- list(fit = answer$fit, se = answer$se.fit)
    if (columns == 1) return(do.call(cbind, parts))
    parts <- lapply(parts, matrix, nrow(rows), columns, dimnames = list(NULL, seq_len(columns)))
    as.matrix(do.call(data.frame, parts))
  }
}

gam_expect <- list(response = gam_type("response"), link = gam_type("link"), se = gam_se("response"), terms = gam_terms)

case(
  "gam-gaussian",
  fit = function() {
    mgcv::gam(y ~ f + text + yes + s(exp(x), k = 5) + s(z, by = f, k = 4) + offset(log(count + 1)), data = gam_data())
  },
  rows = gam_sent,
  expect = gam_expect
)

case(
  "gam-binomial",
  fit = function() mgcv::gam(hit ~ te(x, z, k = 3) + s(f, bs = "re"), binomial, gam_data(), method = "REML"),
  rows = gam_sent,
  expect = gam_expect
)

case(
  "gam-two-predictors",
  fit = function() mgcv::gam(list(y ~ s(x, k = 5), ~ s(z, k = 4)), family = mgcv::gaulss(), data = gam_data()),
  rows = gam_sent,
  expect = list(
    response = gam_columns(2), link = gam_type("link"), se = gam_se("response", 2), terms = gam_terms
  )
)

case(
  "gam-ordered-categories",
  fit = function() mgcv::gam(grade ~ s(x, k = 5) + z, family = mgcv::ocat(R = 3), data = gam_data()),
  rows = gam_sent,
  expect = list(
    response = gam_columns(3), link = gam_type("link"), se = gam_se("response", 3), terms = gam_terms
  )
)

case(
  "gam-cox",
  fit = function() {
    patients <- transform(gam_data(), time = exp(y))
    mgcv::gam(time ~ s(x, k = 5) + f, family = mgcv::cox.ph(), data = patients, weights = hit)
  },
  rows = gam_sent,
  expect = list(link = gam_type("link"), se = gam_se("link"), terms = gam_terms)
)

case(
  "bam-poisson",
  fit = function() mgcv::bam(count ~ f + s(x, k = 6) + s(z, k = 5), poisson, gam_data()),
  rows = gam_sent,
  expect = gam_expect
)

case(
  "bam-discrete",
  fit = function() mgcv::bam(y ~ f + s(x, k = 6) + s(z, k = 5), data = gam_data(), discrete = TRUE),
  rows = gam_sent,
  expect = gam_expect
)
