DROP TABLE compliance_predictions;
