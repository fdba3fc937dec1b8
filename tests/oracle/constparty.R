# ctree. Where predict() draws lots (missing values without surrogates), the server takes the likeliest way, so rows
# with missing values are here for trees with surrogates or grown with majority = TRUE.

party_response <- function(model, rows) predict(model, rows, type = "response")
party_prob <- function(model, rows) predict(model, rows, type = "prob")

party_flowers <- function() {
  rows <- iris[rep(1:150, 2), 1:4]
  rows[151:300, ] <- rows[151:300, ] + 0.05
  rows[203, 4] <- 1e6
  rows[204, ] <- 0
  rows[205, 1] <- -1e300
  # The splits themselves.
  rows[206:211, 3] <- c(1.9, 4.8, 4.9, 1.9, 4.8, 4.9)
  rows[206:211, 4] <- c(1.7, 1.7, 1.7, 1.8, 1.8, 1.8)
  rows
}

case(
  "ctree-iris",
  fit = function() partykit::ctree(Species ~ ., iris),
  rows = party_flowers,
  expect = list(class = party_response, prob = party_prob)
)

party_air <- function() {
  rows <- airquality[rep(1:153, 2), c("Solar.R", "Wind", "Temp", "Month")]
  rows$Month <- factor(month.abb[rows$Month], month.abb[5:9])
  rows$Wind[c(5, 160)] <- c(NA, -1)
  rows$Temp[c(6, 7, 161)] <- c(NA, 1L, 1000L)
  rows$Month[8:9] <- NA
  rows[10, ] <- NA
  rows
}

party_air_data <- function() {
  data <- subset(airquality, !is.na(Ozone), -Day)
  transform(data, Month = factor(month.abb[Month], month.abb[5:9]))
}

case(
  "ctree-majority",
  fit = function() partykit::ctree(Ozone ~ ., party_air_data(), control = partykit::ctree_control(majority = TRUE)),
  rows = party_air,
  expect = list(response = party_response)
)

case(
  "ctree-surrogates",
  fit = function() {
    partykit::ctree(Ozone ~ ., party_air_data(), control = partykit::ctree_control(maxsurrogate = 3L))
  },
  rows = function() {
    rows <- party_air()
    rows <- rows[rowSums(is.na(rows)) < 2, ]
    rows$Solar.R[is.na(rows$Temp) | is.na(rows$Wind)] <- 150L
    rows
  },
  expect = list(response = party_response)
)

# A transformed variable: predict() leaves out what is missing.
case(
  "ctree-terms",
  fit = function() partykit::ctree(factor(Ozone > 40, labels = c("low", "high")) ~ log(Temp) + Month, party_air_data()),
  rows = function() {
    rows <- party_air()[c("Temp", "Month")]
    rows[rowSums(is.na(rows)) == 0, ]
  },
  expect = list(class = party_response, prob = party_prob)
)

case(
  "ctree-survival",
  fit = function() {
    data <- subset(survival::lung, !is.na(ph.ecog), c(time, status, age, sex, ph.ecog))
    partykit::ctree(survival::Surv(time, status) ~ age + sex + ph.ecog, data)
  },
  rows = function() {
    data.frame(age = seq(10, 110, length.out = 240), sex = 1:2, ph.ecog = rep(0:3, each = 2))
  },
  expect = list(response = party_response)
)

case(
  "party-of-rpart",
  fit = function() partykit::as.party(rpart::rpart(Species ~ ., iris)),
  rows = party_flowers,
  expect = list(class = party_response, prob = party_prob)
)
