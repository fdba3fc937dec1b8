# Linear and generalized linear mixed models: with and without the random effects, with new groups.

sleep_rows <- function() {
  rows <- lme4::sleepstudy[rep(1:180, 2), c("Days", "Subject")]
  rows$Days <- rows$Days + rep(c(0, 0.25), each = 180)
  rows$Days[1:5] <- c(NA, -3, 1e6, 0, 400)
  rows
}

case(
  "lmer-sleep",
  fit = function() lme4::lmer(Reaction ~ Days + (Days | Subject), lme4::sleepstudy),
  rows = sleep_rows,
  expect = list(response = function(model, rows) predict(model, rows))
)

case(
  "lmer-population",
  fit = function() lme4::lmer(Reaction ~ poly(Days, 2) + (1 | Subject), lme4::sleepstudy, REML = FALSE),
  rows = function() sleep_rows()[-1, ],
  expect = list(response = function(model, rows) predict(model, rows, re.form = NA)),
  options = list(re.form = "none")
)

# Numbers as groups, one group within the other, and groups that the model has not seen.
lmer_plots <- function() {
  data <- transform(lme4::Pastes, batch = as.numeric(batch) * 10, cask = as.character(cask))
  transform(data, wet = rep(c("dry", "wet", "wet"), 20))
}

case(
  "lmer-nested-new-groups",
  fit = function() lme4::lmer(strength ~ wet + (1 | batch / cask), lmer_plots()),
  rows = function() {
    rows <- expand.grid(batch = c(seq(10, 100, 10), 110, 5.5), cask = c("a", "b", "c"), wet = c("dry", "wet"))
    rows <- rows[rep(1:72, 3), ]
    rows$cask <- as.character(rows$cask)
    rows$batch[100:102] <- c(1e9, -1, 0)
    rows
  },
  expect = list(response = function(model, rows) predict(model, rows, allow.new.levels = TRUE)),
  options = list(allow.new.levels = TRUE)
)

herd_rows <- function() {
  rows <- lme4::cbpp[rep(1:56, 4), c("period", "herd", "size")]
  rows$size <- rows$size + rep(0:3, each = 56)
  rows$size[7:9] <- c(NA, 0, 1e6)
  rows
}

case(
  "glmer-binomial",
  fit = function() {
    lme4::glmer(cbind(incidence, size - incidence) ~ period + log(size) + (1 | herd), lme4::cbpp, family = binomial)
  },
  rows = herd_rows,
  expect = list(
    response = function(model, rows) predict(model, rows, type = "response"),
    link = function(model, rows) predict(model, rows)
  )
)

case(
  "glmer-poisson-offset",
  fit = function() lme4::glmer(incidence ~ period + offset(log(size)) + (1 | herd), lme4::cbpp, family = poisson),
  rows = herd_rows,
  expect = list(
    response = function(model, rows) predict(model, rows, type = "response", re.form = NA),
    link = function(model, rows) predict(model, rows, re.form = NA)
  ),
  options = list(re.form = "none")
)

# A sidecar that makes a new group a missing one.
case(
  "lmer-new-subjects",
  fit = function() lme4::lmer(Reaction ~ Days + (Days | Subject), lme4::sleepstudy),
  rows = function() {
    rows <- transform(sleep_rows(), Subject = as.character(Subject))
    rows$Subject[seq(10, 360, 50)] <- c("999", "new", "M\u00fcller")[c(1:3, 1:3, 1, 2)]
    rows$Subject[20] <- NA
    rows
  },
  expect = list(response = function(model, rows) predict(model, rows, allow.new.levels = TRUE)),
  sidecar = c("arguments: {allow.new.levels: true}", "schema: {inputs: [{name: Subject, new_level: na}]}")
)
