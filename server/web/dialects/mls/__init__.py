"""The contract of Machine Learning Server (MLS): services at `/services`, asked at `/api/{service}/{version}`."""
