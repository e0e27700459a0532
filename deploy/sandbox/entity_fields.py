"""The fields of the six entities that the sandbox serves and of all that they contain, in contract order.

The source is the endpoint definition Default/20.200.001. It stands in for Default/22.200.001 too, of which no list
is at hand: a field that 20.200.001 has and 22.200.001 lost is less likely than one that 24.200.001 has and
22.200.001 did not have yet, every recorded field is in it, and a stand-in should rather refuse a doubtful field
than grant it. A name alone is a string; `Name:Type` has another type, that of a nested entity among them, and
`Name:Type[]` is a list of detail rows.
"""

from collections.abc import Mapping
from types import MappingProxyType

TOP_LEVEL: Mapping[str, str] = MappingProxyType(
    {
        "Customer": """
            AccountRef ApplyOverdueCharges:Boolean Attributes:AttributeValue[]
            AutoApplyPayments:Boolean BillingAddressOverride:Boolean BillingContact:Contact
            BillingContactOverride:Boolean Contacts:CustomerContact[] CreatedDateTime:DateTime
            CreditVerificationRules:CreditVerificationRules CurrencyID CurrencyRateType
            CustomerClass CustomerID CustomerName EnableCurrencyOverride:Boolean
            EnableRateOverride:Boolean EnableWriteOffs:Boolean FOBPoint
            LastModifiedDateTime:DateTime LeadTimedays:Short LocationName MainContact:Contact
            MultiCurrencyStatements:Boolean OrderPriority:Short ParentRecord
            PaymentInstructions:BusinessAccountPaymentInstructionDetail[] PriceClassID
            PrimaryContact:Contact PrintDunningLetters:Boolean PrintInvoices:Boolean
            PrintStatements:Boolean ResidentialDelivery:Boolean Salespersons:CustomerSalesPerson[]
            SaturdayDelivery:Boolean SendDunningLettersbyEmail:Boolean SendInvoicesbyEmail:Boolean
            SendStatementsbyEmail:Boolean ShippingAddressOverride:Boolean ShippingBranch
            ShippingContact:Contact ShippingContactOverride:Boolean ShippingRule ShippingTerms
            ShippingZoneID ShipVia StatementCycleID StatementType Status TaxRegistrationID TaxZone
            Terms WarehouseID WriteOffLimit:Decimal
        """,
        "Payment": """
            ApplicationDate:DateTime ApplicationHistory:PaymentApplicationHistoryDetail[]
            AppliedToDocuments:Decimal Branch CardAccountNbr:Int CashAccount
            CreditCardProcessingInfo:CreditCardProcessingDetail[] CurrencyID CustomerID
            Description DocumentsToApply:PaymentDetail[] Hold:Boolean
            OrdersToApply:PaymentOrderDetail[] PaymentAmount:Decimal PaymentMethod PaymentRef
            ReferenceNbr Status Type LastModifiedDateTime:DateTime ProcessingCenterID
            SaveCard:Boolean CreditCardTransactionInfo:CreditCardTransactionDetail[]
        """,
        "SalesInvoice": """
            Amount:Decimal ApplicationsCreditMemo:SalesInvoiceApplicationCreditMemo[]
            ApplicationsInvoice:SalesInvoiceApplicationInvoice[] Balance:Decimal
            BillingSettings:BillToSettings CashDiscount:Decimal
            Commissions:SalesInvoiceCommissions CreditHold:Boolean Currency CustomerID
            CustomerOrder Date:DateTime Description Details:SalesInvoiceDetail[]
            DetailTotal:Decimal DiscountDetails:SalesInvoiceDiscountDetails[]
            DiscountTotal:Decimal DueDate:DateTime FinancialDetails:SalesInvoiceFinancialDetails
            FreightDetails:SalesInvoiceFreightDetail[] FreightPrice:Decimal Hold:Boolean
            PaymentTotal:Decimal Project ReferenceNbr Status TaxDetails:SalesInvoiceTaxDetail[]
            TaxTotal:Decimal Type VATExemptTotal:Decimal VATTaxableTotal:Decimal
        """,
        "SalesOrder": """
            Approved:Boolean BaseCurrencyID BillToAddress:Address BillToAddressOverride:Boolean
            BillToAddressValidated:Boolean BillToContact:DocContact BillToContactOverride:Boolean
            CashAccount Commissions:Commissions ContactID ControlTotal:Decimal CreditHold:Boolean
            CurrencyID CurrencyRate:Decimal CurrencyRateTypeID CustomerID CustomerOrder
            Date:DateTime Description DestinationWarehouseID Details:SalesOrderDetail[]
            DisableAutomaticDiscountUpdate:Boolean DiscountDetails:SalesOrdersDiscountDetails[]
            EffectiveDate:DateTime ExternalRef FinancialSettings:FinancialSettings Hold:Boolean
            IsTaxValid:Boolean LastModified:DateTime LocationID OrderedQty:Decimal OrderNbr
            OrderTotal:Decimal OrderType PaymentMethod Payments:SalesOrderPayment[]
            PreferredWarehouseID Project ReciprocalRate:Decimal Relations:RelationDetail[]
            RequestedOn:DateTime Shipments:SalesOrderShipment[] ShippingSettings:ShippingSettings
            ShipToAddress:Address ShipToAddressOverride:Boolean ShipToAddressValidated:Boolean
            ShipToContact:DocContact ShipToContactOverride:Boolean ShipVia Status
            TaxDetails:TaxDetail[] TaxTotal:Decimal Totals:Totals VATExemptTotal:Decimal
            VATTaxableTotal:Decimal
        """,
        "Shipment": """
            BaseCurrencyID ControlQty:Decimal CreatedDateTime:DateTime CurrencyRate:Decimal
            CurrencyRateTypeID CurrencyViewState:Boolean CustomerID
            CreateNewShipmentForEveryOrder:Boolean Details:ShipmentDetail[] Description
            EffectiveDate:DateTime FOBPoint OverrideFreightPrice:Boolean FreightAmount:Decimal
            FreightCost:Decimal FreightCurrencyID GroundCollect:Boolean Hold:Boolean
            Insurance:Boolean LastModifiedDateTime:DateTime LocationID Operation
            Orders:ShipmentOrderDetail[] Owner PackageCount:Int Packages:ShipmentPackage[]
            PackageWeight:Decimal Picked:Boolean ReciprocalRate:Decimal
            ResidentialDelivery:Boolean SaturdayDelivery:Boolean ShipmentDate:DateTime ShipmentNbr
            ShippedQty:Decimal ShippedVolume:Decimal ShippedWeight:Decimal
            ShippingSettings:ShipToSettings ShippingTerms ShippingZoneID ShipVia Status
            ToWarehouseID Type UseCustomersAccount:Boolean WarehouseID WorkgroupID
        """,
        "StockItem": """
            ABCCode Attributes:AttributeValue[] AutoIncrementalValue AverageCost:Decimal BaseUOM
            Boxes:BoxStockItem[] Categories:CategoryStockItem[] COGSAccount COGSSubaccount Content
            CrossReferences:InventoryItemCrossReference[] CurrentStdCost:Decimal
            DefaultIssueLocationID DefaultPrice:Decimal DefaultReceiptLocationID DefaultSubitem
            DefaultWarehouseID DeferralAccount DeferralSubaccount Description
            DimensionVolume:Decimal DimensionWeight:Decimal DiscountAccount DiscountSubaccount
            ImageUrl InventoryAccount InventoryID InventorySubaccount IsAKit:Boolean ItemClass
            ItemStatus ItemType LandedCostVarianceAccount LandedCostVarianceSubaccount
            LastCost:Decimal LastModified:DateTime LastStdCost:Decimal LotSerialClass
            Markup:Decimal MaxCost:Decimal MinCost:Decimal MinMarkup:Decimal MSRP:Decimal
            PackagingOption PackSeparately:Boolean PendingStdCost:Decimal POAccrualAccount
            POAccrualSubaccount PostingClass PriceClass PriceManager PriceWorkgroup ProductManager
            ProductWorkgroup PurchasePriceVarianceAccount PurchasePriceVarianceSubaccount
            PurchaseUOM ReasonCodeSubaccount
            ReplenishmentParameters:ReplenishmentParameterStockItem[] SalesAccount SalesSubaccount
            SalesUOM StandardCostRevaluationAccount StandardCostRevaluationSubaccount
            StandardCostVarianceAccount StandardCostVarianceSubaccount SubItems:SubItemStockItem[]
            SubjectToCommission:Boolean TaxCategory UOMConversions:InventoryItemUOMConversion[]
            UseOnEntry:Boolean ValuationMethod VendorDetails:StockItemVendorDetail[] VolumeUOM
            WarehouseDetails:StockItemWarehouseDetail[] WeightUOM
        """,
    }
)

NESTED: Mapping[str, str] = MappingProxyType(
    {
        "ActivityDetail": """
            Billable:Boolean Overtime BillableOvertime BillableTime Category CostCode
            CreatedDateTime:DateTime LastModifiedDateTime:DateTime CreatedByID NoteID:Guid Owner
            Project ProjectTask RefNoteID:Guid Released:Boolean StartDate:DateTime Status Summary
            TimeSpent Type WorkgroupID
        """,
        "Address": """
            AddressLine1 AddressLine2 City Country PostalCode State Validated:Boolean
        """,
        "AttributeValue": """
            AttributeID AttributeDescription RefNoteID:Guid Required:Boolean Value
            ValueDescription
        """,
        "BillToSettings": """
            BillToAddress:Address BillToAddressOverride:Boolean BillToContact:DocContact
            BillToContactOverride:Boolean CustomerLocation
        """,
        "BoxStockItem": """
            BoxID Description MaxQty:Decimal MaxVolume:Decimal MaxWeight:Decimal Qty:Decimal UOM
        """,
        "BusinessAccountPaymentInstructionDetail": """
            Description LocationID:Int PaymentInstructionsID PaymentMethod Value
        """,
        "CampaignDetail": """
            CampaignID CampaignName ContactID:Int Stage
        """,
        "CaseDetail": """
            CaseID ClassID ClosingDate:DateTime DateReported:DateTime Estimation InitialResponse
            Owner Reason Severity Status Subject Workgroup
        """,
        "CategoryStockItem": """
            CategoryID:Int
        """,
        "Commissions": """
            DefaultSalesperson SalesPersons:SalesPersonDetail[]
        """,
        "Contact": """
            Active:Boolean Activities:ActivityDetail[] Address:Address
            OverrideAccountAddress:Boolean AddressValidated:Boolean Attention
            Attributes:AttributeValue[] BusinessAccount Campaigns:CampaignDetail[]
            Cases:CaseDetail[] CompanyName ContactClass ContactID:Int ContactMethod ConvertedBy
            DateOfBirth:DateTime DisplayName DoNotCall:Boolean DoNotEmail:Boolean DoNotFax:Boolean
            DoNotMail:Boolean Duplicate DuplicateFound:Boolean Duplicates:ContactDuplicateDetail[]
            Email Fax FaxType FirstName Gender Image JobTitle LanguageOrLocale
            LastIncomingActivity:DateTime LastModifiedDateTime:DateTime LastName
            LastOutgoingActivity:DateTime MaritalStatus MarketingLists:MarketingListDetail[]
            MiddleName NoMarketing:Boolean NoMassMail:Boolean Notifications:ContactNotification[]
            Opportunities:OpportunityDetail[] Owner OwnerEmployeeName ParentAccount Phone1
            Phone1Type Phone2 Phone2Type Phone3 Phone3Type QualificationDate:DateTime Reason
            Relations:RelationDetail[] Source SourceCampaign SpouseOrPartnerName Status
            Synchronize:Boolean Title Type UserInfo:ContactUserInfo WebSite Workgroup
            WorkgroupDescription NoteID:Guid
        """,
        "ContactDuplicateDetail": """
            BusinessAccount BusinessAccountName BusinessAccountType DisplayName Duplicate Email
            LastModifiedDate:DateTime Type
        """,
        "ContactNotification": """
            Active:Boolean Bcc:Boolean ClassID Description Format MailingID Module
            NotificationID:Int Report Source
        """,
        "ContactRoles": """
            RoleDescription RoleName Selected:Boolean UserType:Int
        """,
        "ContactUserInfo": """
            GeneratePassword:Boolean Login Password Roles:ContactRoles[] Status UserType
        """,
        "CreditCardProcessingDetail": """
            TransactionAmount:Decimal TransactionStatus
        """,
        "CreditCardTransactionDetail": """
            TranNbr TranType AuthNbr TranDate:DateTime ExtProfileId NeedValidation:Boolean
        """,
        "CreditVerificationRules": """
            CreditDaysPastDue:Short CreditLimit:Decimal CreditVerification FirstDueDate:DateTime
            OpenOrdersBalance:Decimal RemainingCreditLimit:Decimal UnreleasedBalance:Decimal
        """,
        "CustomerContact": """
            Contact:Contact ContactID:Int
        """,
        "CustomerSalesPerson": """
            Commission:Decimal Default:Boolean LocationID LocationName Name SalespersonID
        """,
        "DocContact": """
            Attention BusinessName Email Phone1
        """,
        "FinancialSettings": """
            BillSeparately:Boolean Branch CashDiscountDate:DateTime CustomerTaxZone
            DueDate:DateTime EntityUsageType InvoiceDate:DateTime InvoiceNbr OriginalOrderNbr
            OriginalOrderType OverrideTaxZone:Boolean Owner PostPeriod Terms
        """,
        "InventoryItemCrossReference": """
            AlternateID AlternateType Description Subitem VendorOrCustomer
        """,
        "InventoryItemUOMConversion": """
            ConversionFactor:Decimal FromUOM MultiplyOrDivide ToUOM
        """,
        "MarketingListDetail": """
            ContactID:Int DynamicList:Boolean Format ListName MarketingListID:Int
            Subscribed:Boolean
        """,
        "OpportunityDetail": """
            Currency DisplayName Estimation:DateTime Owner Probability:Int Stage Status Subject
            Total:Decimal Workgroup
        """,
        "PaymentApplicationHistoryDetail": """
            AdjustedDocType AdjustedRefNbr AdjustingDocType AdjustingRefNbr AdjustmentNbr:Int
            AdjustsVAT:Boolean AmountPaid:Decimal ApplicationPeriod Balance:Decimal
            BalanceWriteOff:Decimal BatchNbr CashDiscountBalance:Decimal CashDiscountDate:DateTime
            CashDiscountTaken:Decimal CurrencyID Customer CustomerOrder Date:DateTime Description
            DisplayDocType DisplayRefNbr DueDate:DateTime PostPeriod VATCreditMemo
        """,
        "PaymentDetail": """
            AmountPaid:Decimal BalanceWriteOff:Decimal CashDiscountTaken:Decimal CustomerOrder
            Description DocLineNbr:Int DocType ReferenceNbr WriteOffReasonCode
        """,
        "PaymentOrderDetail": """
            AppliedToOrder:Decimal OrderNbr OrderType
        """,
        "PurchaseSettings": """
            POSiteID POSource VendorID
        """,
        "RelationDetail": """
            Account AddToCc:Boolean ContactDisplayName ContactID:Int Document:Guid
            DocumentTargetNoteIDDescription Email Name Primary:Boolean RelationID:Int Role Type
        """,
        "ReplenishmentParameterStockItem": """
            DemandForecastModel ForecastPeriodType LaunchDate:DateTime MaxQty:Decimal
            MaxShelfLifeInDays:Int Method PeriodsToAnalyze:Int ReorderPoint:Decimal
            ReplenishmentClass ReplenishmentWarehouse SafetyStock:Decimal Seasonality
            ServiceLevel:Decimal Source TerminationDate:DateTime TransferERQ:Decimal
        """,
        "SalesInvoiceApplicationCreditMemo": """
            AmountPaid:Decimal Balance:Decimal Currency Customer CustomerOrder Date:DateTime
            Description DocType PostPeriod ReferenceNbr Status
        """,
        "SalesInvoiceApplicationInvoice": """
            AdjustedDocReferenceNbr AdjustingDocReferenceNbr AdjustmentNbr:Int AmountPaid:Decimal
            Balance:Decimal CashDiscountTaken:Decimal Currency Customer Description DocType
            DocumentType PaymentDate:DateTime PaymentPeriod PaymentRef Status
        """,
        "SalesInvoiceCommissions": """
            CommissionAmount:Decimal SalesPersons:SalesInvoiceSalesPersonDetail[]
            TotalCommissionableAmount:Decimal
        """,
        "SalesInvoiceDetail": """
            Amount:Decimal BranchID CalculateDiscountsOnImport:Boolean CostCode Description
            DiscountAmount:Decimal DiscountPercent:Decimal ExpirationDate:DateTime
            InventoryDocType InventoryID InventoryRefNbr LineNbr:Int Location LotSerialNbr
            ManualDiscount:Boolean OrderLineNbr:Int OrderNbr OrderType OrigInvLineNbr:Int
            OrigInvNbr OrigInvType ProjectTask Qty:Decimal ShipmentNbr Subitem TaxCategory
            TransactionDescr UnitPrice:Decimal UOM WarehouseID
        """,
        "SalesInvoiceDiscountDetails": """
            Description DiscountableAmount:Decimal DiscountableQty:Decimal DiscountAmount:Decimal
            DiscountCode DiscountPercent:Decimal ExternalDiscountCode FreeItem FreeItemQty:Decimal
            ManualDiscount:Boolean OrderNbr OrderType SequenceID SkipDiscount:Boolean Type
        """,
        "SalesInvoiceFinancialDetails": """
            BatchNbr Branch CustomerTaxZone
        """,
        "SalesInvoiceFreightDetail": """
            Description FreightAmount:Decimal FreightCost:Decimal LineTotal:Decimal
            PremiumFreightAmount:Decimal ShipmentNbr ShipmentType TotalFreightAmount:Decimal
            Volume:Decimal Weight:Decimal
        """,
        "SalesInvoiceSalesPersonDetail": """
            CommissionableAmount:Decimal CommissionAmount:Decimal CommissionPercent:Decimal
            SalespersonID
        """,
        "SalesInvoiceTaxDetail": """
            TaxableAmount:Decimal TaxAmount:Decimal TaxID
        """,
        "SalesOrderCreditCardTransactionDetail": """
            AuthNbr ExtProfileId NeedValidation:Boolean TranDate:DateTime TranNbr TranType
        """,
        "SalesOrderDetail": """
            Account Allocations:SalesOrderDetailAllocation[] AlternateID Amount:Decimal
            AutoCreateIssue:Boolean AverageCost:Decimal Branch CalculateDiscountsOnImport:Boolean
            Commissionable:Boolean Completed:Boolean CostCode CustomerOrderNbr
            DiscountAmount:Decimal DiscountCode DiscountedUnitPrice:Decimal
            DiscountPercent:Decimal ExtendedPrice:Decimal FreeItem:Boolean InventoryID
            LastModifiedDate LineDescription LineNbr:Int LineType Location ManualDiscount:Boolean
            MarkForPO:Boolean OpenQty:Decimal Operation OrderQty:Decimal OvershipThreshold:Decimal
            POSource ProjectTask PurchasingSettings:PurchaseSettings QtyOnShipments:Decimal
            ReasonCode RequestedOn:DateTime SalespersonID SchedOrderDate:DateTime ShipOn:DateTime
            ShippingRule ShipToLocation Subitem TaxCategory TaxZone UnbilledAmount:Decimal
            UndershipThreshold:Decimal UnitCost:Decimal UnitPrice:Decimal UOM WarehouseID
        """,
        "SalesOrderDetailAllocation": """
            Allocated:Boolean AllocWarehouseID Completed:Boolean CustomerOrderNbr
            ExpirationDate:DateTime InventoryID LineNbr:Int LocationID LotSerialNbr OrderNbr
            OrderType Qty:Decimal QtyOnShipments:Decimal QtyReceived:Decimal RelatedDocument
            SchedOrderDate:DateTime ShipOn:DateTime SplitLineNbr:Int Subitem UOM
        """,
        "SalesOrderPayment": """
            ApplicationDate:DateTime AppliedToOrder:Decimal Authorize:Boolean Balance:Decimal
            CardAccountNbr Capture:Boolean CashAccount Currency
            CreditCardTransactionInfo:SalesOrderCreditCardTransactionDetail[] Description DocType
            Hold:Boolean LastModifiedDateTime:DateTime OrigTransactionNbr PaymentAmount:Decimal
            PaymentMethod PaymentRef ProcessingCenterID ReferenceNbr Refund:Boolean
            SaveCard:Boolean Status TransferredtoInvoice:Decimal
            ValidateCCRefundOrigTransaction:Boolean
        """,
        "SalesOrderShipment": """
            InventoryDocType InventoryRefNbr InvoiceNbr InvoiceType ShipmentDate:DateTime
            ShipmentNbr ShipmentType ShippedQty:Decimal ShippedVolume:Decimal
            ShippedWeight:Decimal Status
        """,
        "SalesOrdersDiscountDetails": """
            Description DiscountableAmount:Decimal DiscountableQty:Decimal DiscountAmount:Decimal
            DiscountCode DiscountPercent:Decimal ExternalDiscountCode FreeItem FreeItemQty:Decimal
            ManualDiscount:Boolean SequenceID SkipDiscount:Boolean Type
        """,
        "SalesPersonDetail": """
            CommissionableAmount:Decimal CommissionAmount:Decimal CommissionPercent:Decimal
            SalespersonID
        """,
        "ShipToSettings": """
            ShipToAddress:Address ShipToAddressOverride:Boolean ShipToContact:DocContact
            ShipToContactOverride:Boolean Validated:Boolean
        """,
        "ShipmentDetail": """
            Allocations:ShipmentDetailAllocation[] Description ExpirationDate:DateTime
            FreeItem:Boolean InventoryID LineNbr:Int LocationID LotSerialNbr OpenQty:Decimal
            OrderedQty:Decimal OrderLineNbr:Int OrderNbr OrderType OriginalQty:Decimal ReasonCode
            ShippedQty:Decimal Subitem UOM WarehouseID
        """,
        "ShipmentDetailAllocation": """
            Description ExpirationDate:DateTime InventoryID LocationID LotSerialNbr OrderNbr
            OrderType Qty:Decimal Subitem UOM
        """,
        "ShipmentOrderDetail": """
            InventoryDocType InventoryRefNbr InvoiceNbr InvoiceType OrderNbr OrderType ShipmentNbr
            ShipmentType ShippedQty:Decimal ShippedVolume:Decimal ShippedWeight:Decimal
        """,
        "ShipmentPackage": """
            BoxID CODAmount:Decimal Confirmed:Boolean CustomRefNbr1 CustomRefNbr2
            DeclaredValue:Decimal Description TrackingNbr Type UOM Weight:Decimal
            PackageContents:ShipmentPackageDetail[]
        """,
        "ShipmentPackageDetail": """
            InventoryID LotSerialNbr Quantity:Decimal ShipmentSplitLineNbr:Int Subitem UOM
        """,
        "ShippingSettings": """
            CancelByDate:DateTime Canceled:Boolean FOBPoint GroundCollect:Boolean
            Insurance:Boolean PreferredWarehouseID Priority:Short ResidentialDelivery:Boolean
            SaturdayDelivery:Boolean ScheduledShipmentDate:DateTime ShippingRule ShippingTerms
            ShippingZone ShipSeparately:Boolean ShipVia ShopForRates:ShopForRates
            UseCustomersAccount:Boolean Freight:Decimal FreightCost:Decimal
            FreightCostIsuptodate:Boolean FreightTaxCategory OrderVolume:Decimal
            OrderWeight:Decimal PackageWeight:Decimal PremiumFreight:Decimal
        """,
        "ShopForRates": """
            IsManualPackage:Boolean OrderWeight:Decimal PackageWeight:Decimal
        """,
        "StockItemVendorDetail": """
            Active:Boolean AddLeadTimeDays:Short CurrencyID Default:Boolean EOQ:Decimal
            LastVendorPrice:Decimal LeadTimeDays:Short Location LotSize:Decimal
            MaxOrderQty:Decimal MinOrderFrequencyInDays:Int MinOrderQty:Decimal Override:Boolean
            PurchaseUnit RecordID:Int Subitem VendorID VendorName Warehouse
        """,
        "StockItemWarehouseDetail": """
            DailyDemandForecast:Decimal DailyDemandForecastErrorSTDEV:Decimal
            DefaultIssueLocationID DefaultReceiptLocationID InventoryAccount InventorySubaccount
            IsDefault:Boolean LastForecastDate:DateTime Override:Boolean
            OverridePreferredVendor:Boolean OverrideReplenishmentSettings:Boolean
            OverrideStdCost:Boolean PreferredVendor PriceOverride:Boolean ProductManager
            ProductWorkgroup QtyOnHand:Decimal ReplenishmentSource ReplenishmentWarehouse
            Seasonality ServiceLevel:Decimal Status WarehouseID
        """,
        "SubItemStockItem": """
            Active:Boolean Description SegmentID:Short Value
        """,
        "TaxDetail": """
            CustomerTaxZone IncludeInVATExemptTotal:Boolean LineNbr:Int OrderNbr OrderType
            PendingVAT:Boolean RecordID:Int ReverseVAT:Boolean StatisticalVAT:Boolean
            TaxableAmount:Decimal TaxAmount:Decimal TaxID TaxRate:Decimal TaxType
        """,
        "Totals": """
            DiscountTotal:Decimal LineTotalAmount:Decimal MiscTotalAmount:Decimal TaxTotal:Decimal
            UnbilledAmount:Decimal UnbilledQty:Decimal UnpaidBalance:Decimal
        """,
    }
)
