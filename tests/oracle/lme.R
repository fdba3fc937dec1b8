# nlme's linear and nonlinear mixed models: groups, groups within groups, new groups, levels, transformed terms.

lme_sleep_rows <- function() {
  rows <- lme4::sleepstudy[rep(1:180, 2), c("Days", "Subject")]
  rows$Days <- rows$Days + rep(c(0, 0.25), each = 180)
  rows$Days[1:4] <- c(-3, 1e6, 0, 400)
  rows$Subject[5:6] <- NA
  rows
}

lme_sleep <- function(...) nlme::lme(Reaction ~ Days, lme4::sleepstudy, random = ~ Days | Subject, ...)

case(
  "lme-sleep",
  fit = function() lme_sleep(),
  rows = lme_sleep_rows,
  expect = list(response = function(model, rows) predict(model, rows))
)

case(
  "lme-population",
  fit = function() lme_sleep(keep.data = FALSE),
  rows = lme_sleep_rows,
  expect = list(response = function(model, rows) predict(model, rows, level = 0)),
  options = list(level = 0L)
)

# Text as inner groups and in the formula, a formula that is a variable, poly().
lme_plots <- function() {
  set.seed(1)
  data <- expand.grid(
    batch = factor(sprintf("b%d", 1:8)), cask = c("a", "b", "c"), wet = c("dry", "wet"), run = 1:6,
    stringsAsFactors = FALSE
  )
  data$heat <- runif(nrow(data), 10, 30)
  data$strength <- 60 + as.integer(data$batch) + 2 * (data$wet == "wet") + 0.1 * data$heat + rnorm(nrow(data))
  data
}

case(
  "lme-nested",
  fit = function() {
    formula <- strength ~ wet * run + poly(heat, 2)
    nlme::lme(formula, lme_plots(), random = ~ 1 | batch / cask)
  },
  rows = function() {
    rows <- lme_plots()[c("batch", "cask", "wet", "run", "heat")]
    rows$heat[1:3] <- c(0, 1e4, -5)
    rows$batch[4:5] <- NA
    rows
  },
  expect = list(response = function(model, rows) {
    model$call$fixed <- strength ~ wet * run + poly(heat, 2)
    predict(model, rows)
  })
)

case(
  "lme-new-groups",
  fit = function() lme_sleep(),
  rows = function() {
    rows <- transform(lme_sleep_rows(), Subject = as.character(Subject))
    rows$Subject[seq(10, 360, 50)] <- c("999", "new")
    rows
  },
  expect = list(response = function(model, rows) predict(model, rows)),
  sidecar = "schema: {inputs: [{name: Subject, new_level: na}]}"
)

case(
  "nlme-growth",
  fit = function() {
    nlme::nlme(
      height ~ SSasymp(age, Asym, R0, lrc), datasets::Loblolly, fixed = Asym + R0 + lrc ~ 1,
      random = Asym ~ 1, start = c(Asym = 103, R0 = -8.5, lrc = -3.3)
    )
  },
  rows = function() {
    rows <- datasets::Loblolly[rep(1:84, 3), c("age", "Seed")]
    data.frame(age = rows$age + rep(c(0, 0.5, 7), each = 84), Seed = as.character(rows$Seed))
  },
  expect = list(response = function(model, rows) predict(model, rows))
)
