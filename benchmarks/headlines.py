"""Short financial headlines and bank customers' questions in eight languages, twenty each, written for quality.py."""

from __future__ import annotations

from typing import Final

HEADLINES: Final = {
    "de": """
Siemens hebt Prognose nach starkem Quartal an
Deutsche Bank streicht 3500 Stellen
EZB lässt Leitzins unverändert
Volkswagen ruft weltweit Fahrzeuge zurück
Der Umsatz stieg um 12 Prozent auf 4,3 Milliarden Euro
BASF kürzt Dividende
Aktien der Commerzbank brechen ein
Allianz kauft eigene Aktien zurück
Inflation in Deutschland sinkt auf 2,1 Prozent
Bayer verliert Prozess um Glyphosat
Lufthansa und Verdi einigen sich im Tarifstreit
SAP erwartet mehr Gewinn im Cloudgeschäft
Ölpreise geben nach
Kartellamt prüft Übernahme von Uniper
Börse in Frankfurt schließt im Minus
Wie kann ich meine Karte sperren?
Meine Überweisung ist noch nicht angekommen
Analysten stufen Adidas auf Kaufen hoch
Zalando meldet Verlust
Moody's senkt Ausblick für Thyssenkrupp
""",
    "en": """
ECB leaves rates unchanged
Apple raises outlook after strong quarter
Shares of Boeing fall
Ford recalls vehicles worldwide
Revenue rose 12% to $4.3 billion
Intel cuts dividend
Pfizer wins approval for new drug
Oil prices slip
Moody's lowers outlook for Ford
How do I block my card?
My transfer has not arrived yet
Analysts upgrade Nike to buy
Airline and pilots reach pay deal
Regulator fines Google
Tesla posts net loss
Walmart to buy start-up
Inflation cools in October
Goldman Sachs to cut 3,000 jobs
FTSE 100 closes lower
Q3 EPS $1.12 vs. $1.05 est.
""",
    "es": """
El BCE mantiene los tipos de interés
Santander gana un 14 % más hasta septiembre
Telefónica recorta su dividendo
Las ventas de Inditex crecen con fuerza
El Ibex cierra con pérdidas
Iberdrola compra una empresa en Brasil
La inflación baja al 2,3 %
Repsol anuncia despidos
Los analistas elevan el precio objetivo de BBVA
Cae el precio del petróleo
La CNMV multa a un banco
Huelga en los aeropuertos españoles
Cellnex vende su filial austriaca
Moody's mejora la calificación de España
Ferrovial lanza una oferta de acciones
¿Cómo puedo bloquear mi tarjeta?
Mi transferencia aún no ha llegado
Grifols pierde 120 millones de euros
Aprobado un nuevo medicamento contra la diabetes
Nissan cierra su planta de Barcelona
""",
    "fr": """
La BCE maintient ses taux inchangés
Renault relève ses prévisions annuelles
Le chiffre d'affaires progresse de 8 % au troisième trimestre
Airbus livre 62 avions en octobre
BNP Paribas supprime mille postes
L'action Carrefour chute en Bourse
TotalEnergies augmente son dividende
Le CAC 40 termine en hausse
Danone rachète une start-up américaine
L'inflation ralentit en France
Sanofi obtient le feu vert pour son vaccin
Les syndicats appellent à la grève chez Air France
Le pétrole recule
Orange cède sa filiale roumaine
Moody's abaisse la note de la France
Comment bloquer ma carte bancaire ?
Mon virement n'est toujours pas arrivé
LVMH déçoit les analystes
Perte nette pour Atos
Le régulateur inflige une amende à Google
""",
    "it": """
La Bce lascia i tassi invariati
Intesa Sanpaolo alza le stime di utile
Enel aumenta il dividendo
Piazza Affari chiude in rialzo
Stellantis richiama migliaia di auto
Crolla il titolo di Telecom Italia
L'inflazione rallenta in Italia
Unicredit lancia un'offerta su Banco Bpm
Eni scopre un nuovo giacimento di gas
I ricavi salgono del 9 per cento
Sciopero dei treni in tutto il paese
Il petrolio perde quota
Generali compra una società spagnola
Moody's conferma il rating dell'Italia
L'Antitrust multa Amazon
Come posso bloccare la mia carta?
Il mio bonifico non è ancora arrivato
Leonardo taglia mille posti di lavoro
Ferrari delude gli analisti
Approvato un nuovo farmaco contro il cancro
""",
    "nl": """
ECB laat rente ongewijzigd
ASML verhoogt omzetverwachting
ING schrapt duizend banen
Philips roept apparaten terug
Winst van Ahold Delhaize stijgt
Aandelen Shell dalen na cijfers
Inflatie in Nederland loopt op
Heineken koopt brouwerij in Afrika
KLM en vakbonden bereiken akkoord
AEX sluit hoger
De omzet groeide met 6 procent tot 2,1 miljard euro
Olieprijs zakt verder
Toezichthouder legt ABN Amro boete op
Analisten verlagen koersdoel van Adyen
Unilever verkoopt theetak
Hoe kan ik mijn pas blokkeren?
Mijn overschrijving is nog niet aangekomen
Staking bij de haven van Rotterdam
Moody's verlaagt vooruitzicht voor België
Nieuw medicijn tegen kanker goedgekeurd
""",
    "pl": """
EBC pozostawia stopy procentowe bez zmian
Orlen podnosi dywidendę
Zysk PKO BP wzrósł o 12 procent
Akcje CD Projekt spadają po wynikach
Inflacja w Polsce hamuje
KGHM zwalnia pracowników
WIG20 kończy dzień na plusie
Allegro przejmuje czeską spółkę
Ceny ropy spadają
UOKiK nałożył karę na bank
Przychody spółki wyniosły 3,2 mld zł
Strajk na lotnisku w Warszawie
Moody's obniża perspektywę dla Polski
Analitycy podnoszą cenę docelową
PGNiG odkryło nowe złoże gazu
Jak mogę zablokować moją kartę?
Mój przelew jeszcze nie dotarł
LOT kupuje dziesięć samolotów
Strata netto w trzecim kwartale
Zatwierdzono nowy lek na raka
""",
    "pt": """
BCE mantém taxas de juro inalteradas
Petrobras anuncia dividendos extraordinários
Lucro do Itaú sobe 15% no trimestre
Ações da Vale caem após balanço
Bolsa fecha em alta
Inflação desacelera em setembro
EDP vende ativos no Brasil
Galp corta investimento
Embraer entrega 20 jatos
Analistas elevam preço-alvo da Ambev
Greve paralisa os portos de Santos
Preço do petróleo recua
Regulador multa a Vodafone em Portugal
Novo Banco regressa aos lucros
Moody's melhora a nota do Brasil
Como posso bloquear o meu cartão?
A minha transferência ainda não chegou
Receitas cresceram 7% em relação ao ano anterior
TAP vai despedir quinhentos trabalhadores
Aprovado novo medicamento para diabetes
""",
}
