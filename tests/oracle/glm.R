# Every family, links of one's own, counts of successes, weights, offsets.

glm_cars <- function() {
  data <- transform(mtcars, gear = factor(gear), make = sub(" .*", "", rownames(mtcars)))
  data$carb <- as.numeric(data$carb)
  data
}

glm_rows <- function() {
  set.seed(4)
  rows <- glm_cars()[rep(1:32, 8), c("wt", "hp", "gear", "qsec", "cyl")]
  rows$wt <- rows$wt * runif(256, 0.2, 3)
  rows$hp <- round(rows$hp * runif(256, 0.5, 2))
  rows$wt[1:4] <- NA
  rows$hp[4:8] <- NA
  rows$gear[8:12] <- NA
  rows$qsec[12:14] <- NA
  rows$wt[20:22] <- c(1e5, 1e-300, 0.1 + 0.2)
  rownames(rows) <- NULL
  rows
}

# Beyond what exp() can hold, on both sides.
glm_far <- function() {
  rows <- glm_rows()
  rows$wt[23:26] <- c(-1e5, Inf, -Inf, 1e300)
  rows
}

glm_response <- function(model, rows) predict(model, rows, type = "response")
glm_link <- function(model, rows) predict(model, rows)
glm_se <- function(model, rows) {
  prediction <- predict(model, rows, type = "response", se.fit = TRUE)
  data.frame(fit = prediction$fit, se = prediction$se.fit)
}
glm_terms <- function(model, rows) predict(model, rows, type = "terms")

glm_all <- list(response = glm_response, link = glm_link, se = glm_se, terms = glm_terms)

case("glm-binomial", function() glm(am ~ wt + qsec, binomial, glm_cars()), glm_far, glm_all)

case(
  "glm-binomial-counts",
  function() glm(cbind(carb, 9 - carb) ~ log(hp) + gear, binomial("cloglog"), glm_cars(), model = FALSE),
  glm_rows,
  glm_all[1:3]
)

case(
  "glm-binomial-factor",
  function() {
    data <- transform(glm_cars(), kind = factor(vs, labels = c("V", "straight")))
    glm(kind ~ qsec, binomial("probit"), data, x = TRUE, model = FALSE)
  },
  glm_far,
  glm_all
)

case(
  "glm-poisson",
  function() glm(carb ~ wt + gear + offset(log(cyl)), poisson, glm_cars(), offset = qsec / 100),
  glm_far,
  glm_all
)

case("glm-gamma", function() glm(mpg ~ wt + hp, Gamma("log"), glm_cars(), weights = cyl), glm_far, glm_all)

case("glm-gamma-inverse", function() glm(mpg ~ wt + hp, Gamma, glm_cars()), glm_rows, glm_all)

case("glm-inverse-gaussian", function() glm(mpg ~ wt, inverse.gaussian("1/mu^2"), glm_cars()), glm_rows, glm_all)

case("glm-gaussian", function() glm(mpg ~ poly(wt, 2) + gear * qsec, data = glm_cars(), subset = hp < 300), function() {
  glm_rows()[-(1:4), ]
}, glm_all)

case("glm-quasi", function() {
  glm(am ~ wt, quasi(link = "logit", variance = "mu(1-mu)"), glm_cars())
}, glm_far, glm_all)

case("glm-quasipoisson", function() glm(carb ~ hp + gear, quasipoisson("sqrt"), glm_cars()), glm_rows, glm_all)

case("glm-quasibinomial", function() glm(vs ~ wt + hp, quasibinomial("cauchit"), glm_cars()), glm_rows, glm_all)

case("glm-power", function() glm(mpg ~ wt, gaussian(power(0.3)), glm_cars(), start = c(3, -0.3)), glm_rows, glm_all)
