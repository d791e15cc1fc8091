#ifndef SORTEDSTATES_H
#define SORTEDSTATES_H

#include <QtCore/QCollator>
#include <QtCore/QSortFilterProxyModel>
#include <QtCore/QString>

// The rows of a StateModel, sorted by a column, and only those whose name or sender contains the filter. In QML:
//
//     SortedStates { sourceModel: StateModel { client: hub }; filter: "net/"; by: "value"; descending: true }
class SortedStates : public QSortFilterProxyModel
{
    Q_OBJECT
    Q_PROPERTY(QString filter READ filter WRITE setFilter NOTIFY filterChanged)
    // "name", "value", "sender" or "age". Rows with the same value in that column are sorted by name.
    Q_PROPERTY(QString by READ by WRITE setBy NOTIFY byChanged)
    Q_PROPERTY(bool descending READ isDescending WRITE setDescending NOTIFY descendingChanged)
    Q_PROPERTY(int count READ count NOTIFY countChanged)

public:
    explicit SortedStates(QObject *parent = nullptr);

    // For `import Dashboard 1.0`.
    static void registerType();

    QString filter() const { return m_filter; }
    void setFilter(const QString &filter);
    QString by() const { return m_by; }
    void setBy(const QString &by);
    bool isDescending() const { return sortOrder() == Qt::DescendingOrder; }
    void setDescending(bool descending);
    int count() const { return rowCount(); }

    void setSourceModel(QAbstractItemModel *model) override;

Q_SIGNALS:
    void filterChanged();
    void byChanged();
    void descendingChanged();
    void countChanged();

protected:
    bool filterAcceptsRow(int row, const QModelIndex &parent) const override;
    bool lessThan(const QModelIndex &a, const QModelIndex &b) const override;

private:
    int role(const QString &name) const;
    int compare(const QModelIndex &a, const QModelIndex &b, const QString &by) const;
    int compareTexts(const QString &a, const QString &b) const { return m_collator.compare(a, b); }
    int compareValues(const QVariant &a, const QVariant &b) const;

    QString m_filter;
    QString m_by = QStringLiteral("name");
    // "cpu2" is before "cpu10".
    QCollator m_collator;
};

#endif // SORTEDSTATES_H
