# Whether a car has a manual gearbox by a logistic regression: data mtcars.
source("r_models/train/save.R")

model <- glm(am ~ wt + hp, family = binomial, data = mtcars)

save_model(model, "am", "Probability that a car has a manual gearbox, logistic regression")
